import { OverlaySnapshotter, type OverlaySnapshotterOptions } from './overlay-snapshotter.ts'
import type { Snapshotter } from '@berth/snapshotter'

export type { OverlaySnapshotterOptions }

/**
 * A {@link Snapshotter} on overlayfs. Needs root and a kernel with overlayfs.
 *
 * @example
 * await using snapshotter = overlaySnapshotter({ root: '/var/lib/berth/snapshots' })
 * await snapshotter.apply(chainId, { path: 'layer.tar.gz', compression: 'gzip', diffId })
 * await snapshotter.prepare('container-1', { parent: chainId })
 * const mounts = await snapshotter.mounts('container-1')
 */
export function overlaySnapshotter(options: OverlaySnapshotterOptions): Snapshotter {
  return new OverlaySnapshotter(options)
}
