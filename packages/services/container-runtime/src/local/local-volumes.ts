import { mkdirSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { MountPoint } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { ContainerVolumes, VolumeMount, VolumeRequest } from '../dependencies.ts'

const invalid = (message: string): BerthError => new BerthError('invalid-argument', 'MOUNT_INVALID', message)
const unsupported = (what: string): BerthError => new BerthError('not-implemented', 'VOLUMES_MISSING', `there are no volumes here, but binds and tmpfs: ${what}`)

/** Binds and tmpfs. What an image names as its volumes stays in the container's own file system. */
export class LocalVolumes implements ContainerVolumes {
  readonly #mounts = new Map<string, VolumeMount[]>()

  /** Throws `invalid-argument` for what is no mount, `not-implemented` for volumes. */
  async reserve({ containerId, host }: VolumeRequest): Promise<void> {
    if (host.VolumesFrom?.length) throw unsupported('--volumes-from')
    const binds = (host.Binds ?? []).map(parseBind)
    const tmpfs = Object.entries(host.Tmpfs ?? {}).map(([destination, options]) => tmpfsAt(destination, options.split(',').filter(Boolean)))
    const mounts = (host.Mounts ?? []).map(({ Type, Source = '', Target = '', ReadOnly = false, TmpfsOptions }): VolumeMount => {
      if (Type === 'bind') return bindAt(Source, Target, ReadOnly)
      if (Type === 'tmpfs') return tmpfsAt(Target, TmpfsOptions?.SizeBytes ? [`size=${TmpfsOptions.SizeBytes}`] : [])
      throw unsupported(`a mount of type ${Type}`)
    })
    this.#mounts.set(containerId, [...binds, ...tmpfs, ...mounts])
  }

  async attach(containerId: string): Promise<VolumeMount[]> {
    return this.#mounts.get(containerId) ?? []
  }

  async detach(): Promise<void> {}

  async release(containerId: string): Promise<void> {
    this.#mounts.delete(containerId)
  }

  mountPoints(containerId: string): MountPoint[] {
    return (this.#mounts.get(containerId) ?? []).map(({ type, source, destination, options }) => ({ Type: type as 'bind' | 'tmpfs', Source: type === 'bind' ? source : '', Destination: destination, Mode: '', RW: !options.includes('ro'), Propagation: '' }))
  }

  async restore(): Promise<void> {}
}

function parseBind(spec: string): VolumeMount {
  const [source = '', destination = '', mode = 'rw', ...more] = spec.split(':')
  if (more.length > 0 || !['ro', 'rw'].includes(mode)) throw invalid(`invalid bind ${spec}: it is SOURCE:DESTINATION, with :ro or :rw behind it`)
  if (!isAbsolute(source)) throw unsupported(`volume ${source}`)
  mkdirSync(source, { recursive: true })
  return bindAt(source, destination, mode === 'ro')
}

function bindAt(source: string, destination: string, isReadOnly: boolean): VolumeMount {
  if (!isAbsolute(source) || !isAbsolute(destination)) throw invalid(`invalid bind of ${source} at ${destination}: both must be absolute paths`)
  return { destination, type: 'bind', source, options: ['rbind', 'rprivate', isReadOnly ? 'ro' : 'rw'] }
}

function tmpfsAt(destination: string, options: string[]): VolumeMount {
  if (!isAbsolute(destination)) throw invalid(`invalid tmpfs at ${destination}: it must be an absolute path`)
  return { destination, type: 'tmpfs', source: 'tmpfs', options: ['noexec', 'nosuid', 'nodev', ...options] }
}
