import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import type { EngineClient } from '@berth/api-client'
import type { ContainerCreateRequest } from '@berth/api-types'
import { isErrno, isKind, messageOf } from '@berth/core'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'
import { addCreateFlags, type CreateFlags } from '../flags/create-flags.ts'
import { createRequest } from '../flags/create-request.ts'
import { attachedStreams } from '../flags/streams.ts'

/** Makes the container, pulling its image first where that is wanted. Gives its ID. */
export async function createContainer(cli: Cli, engine: EngineClient, request: ContainerCreateRequest, { name, platform, pull = 'missing', quiet, cidfile }: CreateFlags): Promise<string> {
  if (!['missing', 'always', 'never'].includes(pull)) throw usageError(`invalid pull policy '${pull}': it is missing, always or never`)
  const image = request.Image ?? ''
  const fetchImage = async (): Promise<void> => {
    const { pullImage } = await import('./transfer.ts')
    await pullImage(cli, engine, image, { platform, quiet, output: cli.io.stderr })
  }
  using idFile = cidfile === undefined ? undefined : openIdFile(cidfile)
  if (pull === 'always') await fetchImage()
  const create = async () => engine.containers.create(request, { name, platform })
  const { Id, Warnings } = await create().catch(async (error: unknown) => {
    if (pull !== 'missing' || !isKind(error, 'not-found') || !/no such image/i.test(messageOf(error))) throw error
    cli.io.stderr.write(`Unable to find image '${image}' locally\n`)
    await fetchImage()
    return create()
  })
  for (const warning of Warnings ?? []) cli.io.stderr.write(`WARNING: ${warning}\n`)
  idFile?.write(Id)
  return Id
}

/** A file for the ID of a container that is about to be made; it is gone again if that fails. Throws `invalid-argument` when it is there already. */
function openIdFile(path: string): Disposable & { write(id: string): void } {
  let file: number
  try {
    file = openSync(path, 'wx', 0o644)
  } catch (cause) {
    if (isErrno(cause, 'EEXIST')) throw usageError('container ID file found, make sure the other container isn\'t running or delete ' + path)
    throw usageError(`failed to create the container ID file: ${messageOf(cause)}`)
  }
  let isWritten = false
  return {
    write(id) {
      writeSync(file, id)
      isWritten = true
    },
    [Symbol.dispose]() {
      closeSync(file)
      if (!isWritten) rmSync(path, { force: true })
    },
  }
}

export function createCommand(cli: Cli): Command {
  return addCreateFlags(new Command('create').description('create a container without starting it'))
    .argument('<image>')
    .argument('[command...]')
    .passThroughOptions()
    .action(async (image: string, command: string[], flags: CreateFlags) => {
      const request = createRequest(image, command, flags, { io: cli.io, streams: attachedStreams(flags.attach ? flags : { detach: true }) })
      cli.print(await createContainer(cli, await cli.engine(), request, flags))
    })
}
