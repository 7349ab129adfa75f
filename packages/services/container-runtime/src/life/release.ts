import { rmSync } from 'node:fs'
import { isKind } from '@berth/core'
import type { Container } from '../container.ts'
import { bundleOf, type Context, stateDirOf, together } from '../context.ts'
import { removeLog } from '../logs/container-log.ts'
import { removeBundle } from './remove-bundle.ts'

async function unlessMissing(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error
  }
}

/** Gives back everything a container that does not run has, its record last. Can be repeated after a failure. */
export async function releaseContainer(ctx: Context, container: Container, options: { removeAnonymous: boolean }): Promise<void> {
  const { id } = container
  const { networks, volumes, snapshotter } = ctx.deps
  await together([
    networks.release(id),
    volumes.release(id, options),
    unlessMissing(snapshotter.remove(id)),
    removeFiles(ctx, container),
  ])
  ctx.failPoint('remove.released')
  ctx.records.remove(id)
  ctx.containers.delete(container)
  ctx.failPoint('remove.forgotten')
}

async function removeFiles(ctx: Context, container: Container): Promise<void> {
  removeLog(ctx, container)
  rmSync(stateDirOf(ctx, container.id), { recursive: true, force: true })
  removeBundle(bundleOf(ctx, container.id))
}
