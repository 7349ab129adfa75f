import { BerthError, messageOf, nowNano } from '@berth/core'
import type { Container } from '../container.ts'
import { outputOf } from './container-streams.ts'
import { type Context, emit } from '../context.ts'
import { DetachKeys } from './detach-keys.ts'
import { checkReadable, readEntries } from '../logs/logs.ts'
import type { Attachment, HeldAttachment, OutputStream } from './streams.ts'

export interface AttachOptions {
  stdin: boolean
  stdout: boolean
  stderr: boolean
  /** Replay what was written so far before streaming. */
  logs: boolean
  stream: boolean
  detachKeys?: string
}

/**
 * A client's hold on the run that goes on or comes next. Throws `conflict` for a container that is paused or between restarts, `invalid-argument` for
 * detach keys that are none, `not-implemented` for logs that cannot be read.
 */
export async function attachContainer(ctx: Context, container: Container, options: AttachOptions): Promise<Attachment> {
  const { config } = container.record.definition
  const { status } = container.state
  if (options.detachKeys) new DetachKeys(options.detachKeys)
  if (status === 'paused') throw new BerthError('conflict', 'CONTAINER_PAUSED', `Container ${container.id} is paused, unpause the container before attach.`)
  if (status === 'restarting') {
    throw new BerthError('conflict', 'CONTAINER_RESTARTING', `Container ${container.id} is restarting, wait until the container is running before attach.`)
  }
  if (options.logs) checkReadable(ctx, container)
  const attachment = outputOf(ctx, container).attach({
    stdin: options.stream && options.stdin && (config.OpenStdin ?? false),
    stdout: options.stdout,
    stderr: options.stderr,
    closesStdin: config.StdinOnce ?? false,
    detachKeys: options.detachKeys,
    onDetachKeys: () => emit(ctx, container, 'detach'),
  })
  if (options.logs) {
    attachment.hold()
    void replay(ctx, container, attachment, options)
  }
  emit(ctx, container, 'attach')
  if (!options.stream) attachment.finish()
  return attachment
}

/** Puts in front what was logged up to now, no faster than the client takes it; what is written from now on comes behind it, without a gap and once. */
async function replay(ctx: Context, container: Container, attachment: HeldAttachment, { stdout, stderr, stream }: AttachOptions): Promise<void> {
  const log = container.logWriter?.log
  const until = nowNano()
  // What is written from now on has a later time.
  while (nowNano() === until);
  const unfinished = (['stdout', 'stderr'] as const).map((name): [OutputStream, Uint8Array | undefined] => [name, stream ? log?.unfinished?.(name) : undefined])
  try {
    for await (const { stream: name, line } of readEntries(ctx, container, { stdout, stderr, until })) {
      if (attachment.isGone) return
      await attachment.replay(name, line)
    }
    for (const [name, bytes] of unfinished) if (bytes?.length) await attachment.replay(name, bytes)
  } catch (error) {
    ctx.logger.warn('the log of a container could not be replayed to its end', { container: container.id, error: messageOf(error) })
  } finally {
    attachment.release()
  }
}
