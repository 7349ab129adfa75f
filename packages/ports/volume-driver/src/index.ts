/**
 * The volume driver port: what a volume manager asks of whatever keeps the files of volumes.
 *
 * Vocabulary. A *volume* is a named directory that outlives containers. A *user* of a volume is a name (a container's ID) on whose behalf it is mounted.
 *
 * Life cycle. `create` makes a volume; `mount` makes its files reachable and says where, once for each user; `unmount` ends one user's claim, and
 * with the last one whatever the driver holds; `remove` deletes the volume with its files. `create`, `mount` and `unmount` may be repeated, as they
 * are after a crash: the same volume, the same path, no error. A driver knows its volumes again after kill -9.
 *
 * Must fail: an option it does not know (`invalid-argument`, naming it); mounting an unknown volume (`not-found`); removing a volume that is mounted
 * (`conflict`). Removing or unmounting what is not there succeeds.
 *
 * @example
 * await driver.create({ name: 'data', options: {} })
 * const path = await driver.mount('data', containerId)
 */
export interface VolumeDriver {
  /** As in `docker volume create --driver`. */
  readonly name: string
  /** Whether a volume exists on this machine only, or everywhere. */
  readonly scope: 'local' | 'global'
  create(volume: { name: string; options: Readonly<Record<string, string>> }): Promise<void>
  get(name: string): Promise<VolumeInfo | undefined>
  list(): Promise<VolumeInfo[]>
  /** The absolute path of the volume's root directory on this machine. */
  mount(name: string, user: string): Promise<string>
  unmount(name: string, user: string): Promise<void>
  remove(name: string): Promise<void>
}

export interface VolumeInfo {
  name: string
  /** Where the files are when the volume is mounted; shown to users. */
  mountpoint: string
  createdAt: Date
}
