import { readFileSync } from 'node:fs'
import type { Mount } from '@berth/snapshotter'

/** Features that must be off: the first ties a layer to one mount, the others leave in an upper directory what no tar can tell. */
const unwanted = ['index', 'redirect_dir', 'metacopy']

/** The options that switch off what this kernel's overlayfs knows and what its administrator may have switched on. */
export function overlayDefaults(parameters = '/sys/module/overlay/parameters'): string[] {
  return unwanted.flatMap((feature) => {
    try {
      return readFileSync(`${parameters}/${feature}`, 'utf8').trim() === 'Y' ? [`${feature}=off`] : []
    } catch {
      return []
    }
  })
}

export interface OverlayDirectories {
  /** Directories of the layers below, the top one first. */
  lowers: readonly string[]
  /** Of a writable snapshot. */
  upper?: { fs: string; work: string } | undefined
  defaults: readonly string[]
}

/** The mount that shows layers as one file system. overlayfs wants two directories at least, so what is one directory is bound. */
export function overlayMounts({ lowers, upper, defaults }: OverlayDirectories): Mount[] {
  const [only, ...more] = upper ? [upper.fs, ...lowers] : lowers
  if (only === undefined) return []
  if (more.length === 0) return [{ type: 'bind', source: only, options: [upper ? 'rw' : 'ro', 'rbind'] }]
  const writable = upper ? [`workdir=${upper.work}`, `upperdir=${upper.fs}`] : ['ro']
  return [{ type: 'overlay', source: 'overlay', options: [...defaults, ...writable, `lowerdir=${lowers.join(':')}`] }]
}
