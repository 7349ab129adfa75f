import type { EngineClient } from '@berth/api-client'
import type { ContainerCreateRequest } from '@berth/api-types'
import { isKind, messageOf } from '@berth/core'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'
import { addCreateFlags, type CreateFlags } from '../flags/create-flags.ts'
import { createRequest } from '../flags/create-request.ts'

/** Makes the container, pulling its image first where that is wanted. Gives its ID. */
export async function createContainer(cli: Cli, engine: EngineClient, request: ContainerCreateRequest, { name, platform, pull = 'missing' }: CreateFlags): Promise<string> {
  if (!['missing', 'always', 'never'].includes(pull)) throw usageError(`invalid pull policy '${pull}': it is missing, always or never`)
  const image = request.Image ?? ''
  const fetchImage = async (): Promise<void> => {
    const { pullImage } = await import('./transfer.ts')
    await pullImage(cli, engine, image, { platform, output: cli.io.stderr })
  }
  if (pull === 'always') await fetchImage()
  const create = async () => engine.containers.create(request, { name, platform })
  const { Id, Warnings } = await create().catch(async (error: unknown) => {
    if (pull !== 'missing' || !isKind(error, 'not-found') || !/no such image/i.test(messageOf(error))) throw error
    cli.io.stderr.write(`Unable to find image '${image}' locally\n`)
    await fetchImage()
    return create()
  })
  for (const warning of Warnings ?? []) cli.io.stderr.write(`WARNING: ${warning}\n`)
  return Id
}

export function createCommand(cli: Cli): Command {
  return addCreateFlags(new Command('create').description('create a container without starting it'))
    .argument('<image>')
    .argument('[command...]')
    .passThroughOptions()
    .action(async (image: string, command: string[], flags: CreateFlags) => {
      const request = createRequest(image, command, flags, { io: cli.io, attached: false })
      cli.print(await createContainer(cli, await cli.engine(), request, flags))
    })
}
