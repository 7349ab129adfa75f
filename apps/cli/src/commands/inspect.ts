import type { EngineClient } from '@berth/api-client'
import { isKind } from '@berth/core'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'
import { fillTemplate } from '../output/template.ts'

const kinds = ['container', 'image', 'network', 'volume'] as const
type Kind = (typeof kinds)[number]

interface InspectFlags {
  platform?: string
  size?: boolean
}

async function inspectOne(engine: EngineClient, kind: Kind, ref: string, { platform, size }: InspectFlags): Promise<object> {
  switch (kind) {
    case 'container':
      return engine.containers.inspect(ref, size ? { size } : {})
    case 'image':
      return engine.images.inspect(ref, { platform })
    case 'network':
      return engine.networks.inspect(ref)
    case 'volume':
      return engine.volumes.inspect(ref)
  }
}

/** The first of the kinds that has something by that name; undefined when none does. */
async function find(engine: EngineClient, wanted: readonly Kind[], ref: string, flags: InspectFlags): Promise<object | undefined> {
  for (const kind of wanted) {
    try {
      return await inspectOne(engine, kind, ref, flags)
    } catch (error) {
      if (!isKind(error, 'not-found') || wanted.length === 1) throw error
    }
  }
  return undefined
}

/** Shows everything known about things, at the top level of whatever kind, in a group of its kind. */
export function inspectCommand(cli: Cli): Command {
  const command = new Command('inspect')
    .description('show everything known about something')
    .argument('<names...>')
    .option('-f, --format <format>', 'json, or a template: {{.State.Status}}')
    .option('--type <type>', `only of this kind: ${kinds.join(', ')}`)
    .option('-s, --size', 'of a container, its sizes too')
    .option('--platform <platform>', 'of an image, that of this platform')
  return command.action(async (refs: string[], { format, type, ...flags }: InspectFlags & { format?: string; type?: string }) => {
    const asked = type ?? command.parent?.name()
    const kind = kinds.find((candidate) => candidate === asked)
    if (type !== undefined && !kind) throw usageError(`"${type}" is not a valid value for --type`)
    const engine = await cli.engine()
    const found: object[] = []
    for (const ref of refs) {
      try {
        const value = await find(engine, kind ? [kind] : kinds, ref, flags)
        if (value) found.push(value)
        else cli.complain(`no such object: ${ref}`)
      } catch (error) {
        cli.complain(error)
      }
    }
    if (format === undefined) cli.print(JSON.stringify(found, undefined, 4))
    else for (const value of found) cli.print(format === 'json' ? JSON.stringify(value) : fillTemplate(format, value))
  })
}
