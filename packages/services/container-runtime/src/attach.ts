import { BerthError, nowNano } from '@berth/core'
import type { Container } from './container.ts'
import { outputOf } from './container-streams.ts'
import { type Context, emit } from './context.ts'
import { readEntries } from './logs.ts'
import type { Attachment, OutputStream } from './streams.ts'

export interface AttachOptions {
  stdin: boolean
  stdout: boolean
  stderr: boolean
  /** Replay what was written so far before streaming. */
  logs: boolean
  stream: boolean
  detachKeys?: string
}

/** A client's hold on the run that goes on or comes next. Throws `conflict` for a container that is paused or between restarts. */
export async function attachContainer(ctx: Context, container: Container, options: AttachOptions): Promise<Attachment> {
  const { config } = container.record.definition
  const { status } = container.state
  if (status === 'paused') throw new BerthError('conflict', 'CONTAINER_PAUSED', `Container ${container.id} is paused, unpause the container before attach.`)
  if (status === 'restarting') {
    throw new BerthError('conflict', 'CONTAINER_RESTARTING', `Container ${container.id} is restarting, wait until the container is running before attach.`)
  }
  const streams = outputOf(ctx, container)
  const until = nowNano()
  const attachment = streams.attach({
    stdin: options.stream && options.stdin && (config.OpenStdin ?? false),
    stdout: options.stdout,
    stderr: options.stderr,
    closesStdin: config.StdinOnce ?? false,
    detachKeys: options.detachKeys,
    onDetachKeys: () => emit(ctx, container, 'detach'),
  })
  if (options.logs) {
    attachment.hold()
    attachment.replay(await replayed(ctx, container, { stdout: options.stdout, stderr: options.stderr, until }))
  }
  if (options.stream) emit(ctx, container, 'attach')
  else attachment.finish()
  return attachment
}

/** What was logged until now. */
async function replayed(ctx: Context, container: Container, options: { stdout: boolean; stderr: boolean; until: bigint }): Promise<Record<OutputStream, Uint8Array[]>> {
  const chunks: Record<OutputStream, Uint8Array[]> = { stdout: [], stderr: [] }
  const entries = readEntries(ctx, container, options)
  for await (const { stream, line } of entries) chunks[stream].push(line)
  return chunks
}
