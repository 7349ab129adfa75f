import type { Volume, VolumeCreateOptions } from '@berth/api-types'
import { BerthError, newId } from '@berth/core'
import type { VolumeBackend } from '../backend.ts'

/** Volumes without files. */
export class MemoryVolumes implements VolumeBackend {
  readonly #volumes = new Map<string, Volume>()

  async create({ Name = newId(), Driver = 'local', Labels = {}, DriverOpts = {} }: VolumeCreateOptions): Promise<Volume> {
    const volume: Volume = { Name, Driver, Labels, Options: DriverOpts, Mountpoint: `/volumes/${Name}/_data`, Scope: 'local' }
    this.#volumes.set(Name, volume)
    return volume
  }

  async list(): ReturnType<VolumeBackend['list']> {
    return { Volumes: [...this.#volumes.values()], Warnings: [] }
  }

  async inspect(name: string): Promise<Volume> {
    const volume = this.#volumes.get(name)
    if (!volume) throw new BerthError('not-found', 'VOLUME_NOT_FOUND', `get ${name}: no such volume`)
    return volume
  }

  async remove(name: string, { force }: { force: boolean }): Promise<void> {
    if (!force) await this.inspect(name)
    this.#volumes.delete(name)
  }

  async prune(): ReturnType<VolumeBackend['prune']> {
    const names = [...this.#volumes.keys()]
    this.#volumes.clear()
    return { VolumesDeleted: names, SpaceReclaimed: 0 }
  }
}
