import type { EventMessage } from '@berth/api-types'
import { formatNano } from '@berth/core'
import { Command } from 'commander'
import { type Cli, collect } from '../cli.ts'
import { parseMoment } from '../flags/durations.ts'
import { parseFilters } from '../flags/filters.ts'
import { printable } from '../output/table.ts'
import { fillTemplate } from '../output/template.ts'

/** `2026-01-02T03:04:05.000000000Z container start 0123… (image=busybox, name=web)`. */
function formatEvent({ timeNano = 0, Type, Action, Actor }: EventMessage): string {
  const attributes = Object.entries(Actor?.Attributes ?? {}).map((pair) => pair.join('='))
  return printable(`${formatNano(BigInt(timeNano))} ${Type} ${Action} ${Actor?.ID}${attributes.length > 0 ? ` (${attributes.toSorted().join(', ')})` : ''}`)
}

export function eventsCommand(cli: Cli): Command {
  return new Command('events')
    .description('show what happens')
    .option('--since <time>', 'also from then on: a date, or 10m for ten minutes ago')
    .option('--until <time>', 'only until then')
    .option('-f, --filter <key=value>', 'only those: type, event, container, …', collect)
    .option('--format <format>', 'json, or a template: {{.Type}} {{.Action}}')
    .action(async ({ since, until, filter, format }: { since?: string; until?: string; filter?: string[]; format?: string }) => {
      const { system } = await cli.engine()
      const now = Date.now()
      const moment = (text: string | undefined): { time?: string } => (text === undefined ? {} : { time: parseMoment(text, now) })
      const [from, to] = [moment(since).time, moment(until).time]
      for await (const event of system.events({ since: from, until: to, filters: parseFilters(filter) })) {
        cli.print(format === undefined ? formatEvent(event) : format === 'json' ? JSON.stringify(event) : fillTemplate(format, event))
      }
    })
}
