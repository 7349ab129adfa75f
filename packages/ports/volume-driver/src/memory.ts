import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError } from '@berth/core'
import type { VolumeDriver, VolumeInfo } from './index.ts'

/** Volumes in plain directories under `root`, remembered only as long as the driver lives: for tests of what uses volumes. */
export function memoryVolumeDriver({ root, name = 'memory' }: { root: string; name?: string }): VolumeDriver {
  const volumes = new Map<string, VolumeInfo & { users: Set<string> }>()
  const known = (volume: string) => {
    const found = volumes.get(volume)
    if (!found) throw new BerthError('not-found', 'VOLUME_NOT_FOUND', `get ${volume}: no such volume`)
    return found
  }
  return {
    name,
    scope: 'local',
    async create({ name: volume, options }) {
      const [unknown] = Object.keys(options)
      if (unknown !== undefined) throw new BerthError('invalid-argument', 'VOLUME_OPTION_UNKNOWN', `create ${volume}: invalid option: "${unknown}"`)
      if (volumes.has(volume)) return
      const mountpoint = join(root, volume)
      mkdirSync(mountpoint, { recursive: true })
      volumes.set(volume, { name: volume, mountpoint, createdAt: new Date(), users: new Set() })
    },
    async get(volume) {
      const { users: _users, ...info } = volumes.get(volume) ?? { name: '' }
      return 'mountpoint' in info ? info : undefined
    },
    async list() {
      return [...volumes.values()].map(({ users: _users, ...info }) => info)
    },
    async mount(volume, user) {
      const { users, mountpoint } = known(volume)
      users.add(user)
      return mountpoint
    },
    async unmount(volume, user) {
      volumes.get(volume)?.users.delete(user)
    },
    async remove(volume) {
      const found = volumes.get(volume)
      if (!found) return
      if (found.users.size > 0) throw new BerthError('conflict', 'VOLUME_MOUNTED', `remove ${volume}: volume is in use - [${[...found.users].join(', ')}]`)
      rmSync(found.mountpoint, { recursive: true })
      volumes.delete(volume)
    },
  }
}
