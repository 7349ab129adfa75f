import type { ContainerConfig } from '@berth/api-types'
import { BerthError, isKind } from '@berth/core'
import { familiarReference, type ImageRunConfig, parseReference, withDefaultTag } from '@berth/oci'
import type { Container } from '../container.ts'
import { type Context, emit } from '../context.ts'
import { pauseContainer, unpauseContainer } from '../life/control.ts'
import { withoutEngineFiles } from './layer-filter.ts'
import { mergeConfig } from '../create/merge-config.ts'

export interface CommitContainerOptions {
  repo?: string
  tag?: string
  comment?: string
  author?: string
  /** Whether its processes stand still meanwhile, if it runs. */
  pause: boolean
  /** Dockerfile instructions for the image's config. */
  changes: string[]
  /** Replaces what the container's own config says, member by member. */
  config?: ContainerConfig
  signal: AbortSignal
}

/**
 * Makes an image of a container's image and what the container has changed in it, without its volumes.
 * @throws `conflict` while the container is being removed; what the image store throws.
 */
export async function commitContainer(ctx: Context, container: Container, options: CommitContainerOptions): Promise<{ Id: string }> {
  const { repo, tag, comment = '', author = '', changes, signal } = options
  const { id, record } = container
  const { config, imageId } = record.definition
  if (container.isRemoving || record.phase !== 'ready') throw new BerthError('conflict', 'CONTAINER_REMOVED', `You cannot commit container ${id} which is being removed`)
  if (container.state.status === 'dead') throw new BerthError('conflict', 'CONTAINER_DEAD', `You cannot commit container ${id} which is Dead`)
  await using _ = await (options.pause ? paused(ctx, container) : undefined)
  const image = await ctx.deps.images.commit({
    parent: imageId,
    layer: withoutEngineFiles(ctx.deps.snapshotter.diff(id, { signal })),
    // An image's config has no null.
    config: withoutNull(mergeConfig(options.config ?? config, config)) as ImageRunConfig,
    changes,
    author,
    comment,
    createdBy: (config.Cmd ?? []).join(' '),
    ...(repo ? { repo } : {}),
    ...(tag ? { tag } : {}),
    container: id,
    signal,
  })
  emit(ctx, container, 'commit', { comment, imageID: image.id, imageRef: repo ? shownName(repo, tag) : '' })
  return { Id: image.id }
}

/** A name that was given, as users write it: clients send `docker.io/library/web`. */
function shownName(repo: string, tag: string | undefined): string {
  return familiarReference(withDefaultTag({ ...parseReference(repo), ...(tag && { tag }) }))
}

/** Until it is disposed; nothing if the container does not run, or is paused anyway. */
async function paused(ctx: Context, container: Container): Promise<AsyncDisposable | undefined> {
  if (container.state.status !== 'running') return undefined
  await unless('conflict', pauseContainer(ctx, container))
  // It may have ended, or somebody else may have let it go on.
  return { [Symbol.asyncDispose]: () => unless('conflict', unpauseContainer(ctx, container)) }
}

async function unless(kind: 'conflict', work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isKind(error, kind)) throw error
  }
}

function withoutNull(config: ContainerConfig): object {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null && value !== undefined))
}
