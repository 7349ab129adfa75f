import { existsSync, mkdirSync } from 'node:fs'
import type { HostConfig, MountPoint, Volume, VolumeCreateOptions, VolumeListResponse } from '@berth/api-types'
import { BerthError, type EmitEvent, KeyedMutex, type Logger, newId, nowNano, silent } from '@berth/core'
import type { Mount } from '@berth/snapshotter'
import type { VolumeDriver } from '@berth/volume-driver'
import { CopyUp } from './copy-up.ts'
import { type MountRequest, parseMounts } from './parse-mounts.ts'
import { openVolumeRecords, type UseRecord, type VolumeRecord, type VolumeRecords } from './volume-records.ts'

export interface VolumeManagerOptions {
  /** The directory of the manager's records, its own. */
  stateDir: string
  /** A directory for short-lived mounts, its own. */
  execDir: string
  /** The first is the default. */
  drivers: readonly VolumeDriver[]
  emit?: EmitEvent
  logger?: Logger
}

/** What a container asks for at its creation. */
export interface VolumeRequest {
  containerId: string
  /** `VolumesFrom` names containers by full ID. */
  host: Pick<HostConfig, 'Binds' | 'Mounts' | 'Tmpfs' | 'VolumesFrom' | 'VolumeDriver'>
  /** Destinations of anonymous volumes. */
  anonymous: readonly string[]
  /** The container's root file system, which new volumes are filled from. */
  rootfs: readonly Mount[]
}

/** @see OCI runtime specification, config.md, Mounts */
export interface VolumeMount {
  destination: string
  type: string
  source: string
  options: string[]
}

type Filters = ReadonlyMap<string, readonly string[]>

const anonymousLabel = 'com.docker.volume.anonymous'

/** Volumes, who uses them, and the mounts of containers. */
export class VolumeManager {
  readonly #records: VolumeRecords
  readonly #drivers: ReadonlyMap<string, VolumeDriver>
  readonly #defaultDriver: string
  readonly #copyUp: CopyUp
  readonly #emit: EmitEvent
  readonly #logger: Logger
  /** Serializes what makes, uses and removes one volume. */
  readonly #locks = new KeyedMutex()

  constructor({ stateDir, execDir, drivers, emit = () => {}, logger = silent }: VolumeManagerOptions) {
    const [first] = drivers
    if (!first) throw new BerthError('invalid-argument', 'VOLUME_DRIVERS_MISSING', 'a volume manager needs at least one driver')
    this.#records = openVolumeRecords(stateDir)
    this.#drivers = new Map(drivers.map((driver) => [driver.name, driver]))
    this.#defaultDriver = first.name
    this.#copyUp = new CopyUp(execDir)
    this.#emit = emit
    this.#logger = logger
  }

  // --- the volumes themselves ------------------------------------------------------------------------------------------------------------

  async create(request: VolumeCreateOptions): Promise<Volume> {
    const { Name, Driver, DriverOpts, Labels } = request
    if (request.ClusterVolumeSpec) throw new BerthError('not-implemented', 'CLUSTER_VOLUMES', 'cluster volumes are not supported')
    const name = Name || newId()
    const labels = { ...(Name ? {} : { [anonymousLabel]: '' }), ...Labels }
    return this.#locks.run(name, async () => this.#describe(await this.#ensure({ name, driver: Driver || undefined, options: DriverOpts ?? {}, labels, anonymous: !Name })))
  }

  async list(filters: Filters): Promise<VolumeListResponse> {
    const known = ['dangling', 'driver', 'label', 'name', 'label!']
    for (const key of filters.keys()) if (!known.includes(key)) throw new BerthError('invalid-argument', 'FILTER_INVALID', `invalid filter '${key}'`)
    const used = this.#usedNames()
    const dangling = filters.get('dangling')?.map((value) => value === 'true' || value === '1')
    const chosen = [...this.#records.volumes.values()].filter(
      ({ name, driver, labels }) =>
        (!dangling || dangling.includes(!used.has(name))) &&
        (!filters.has('driver') || filters.get('driver')?.includes(driver)) &&
        (!filters.has('name') || filters.get('name')?.some((part) => name.includes(part))) &&
        matchesLabels(labels, filters),
    )
    return { Volumes: await Promise.all(chosen.map((volume) => this.#describe(volume))), Warnings: [] }
  }

  async inspect(name: string): Promise<Volume> {
    return this.#describe(this.#known(name))
  }

  async remove(name: string, { force }: { force: boolean }): Promise<void> {
    await this.#locks.run(name, async () => {
      const volume = this.#records.volumes.get(name)
      if (!volume && force) return
      const { driver } = volume ?? this.#known(name)
      const users = this.#usersOf(name)
      if (users.length > 0) throw new BerthError('conflict', 'VOLUME_IN_USE', `remove ${name}: volume is in use - [${users.join(', ')}]`)
      await this.#driver(driver).remove(name)
      this.#records.deleteVolume(name)
      this.#tell('destroy', name, { driver })
    })
  }

  /** Removes what no container uses: anonymous volumes, or all with the filter `all`. */
  async prune(filters: Filters): Promise<{ VolumesDeleted: string[]; SpaceReclaimed: number }> {
    const all = filters.get('all')?.some((value) => value === 'true' || value === '1') ?? false
    const used = this.#usedNames()
    const doomed = [...this.#records.volumes.values()].filter(({ name, anonymous, labels }) => !used.has(name) && (all || anonymous) && matchesLabels(labels, filters))
    const deleted: string[] = []
    let reclaimed = 0
    for (const { name, driver } of doomed) {
      try {
        const path = (await this.#driver(driver).get(name))?.mountpoint
        const size = path ? await this.#copyUp.sizeOf(path) : 0
        await this.remove(name, { force: true })
        reclaimed += size
        deleted.push(name)
      } catch (error) {
        this.#logger.warn('a volume could not be pruned', { volume: name, error }) // taken into use meanwhile
      }
    }
    return { VolumesDeleted: deleted, SpaceReclaimed: reclaimed }
  }

  /** Names of the drivers, for `info`. */
  get driverNames(): string[] {
    return [...this.#drivers.keys()]
  }

  /** Every volume with the bytes it takes and how many containers use it, for `system df`. */
  async usage(): Promise<Volume[]> {
    const { Volumes } = await this.list(new Map())
    return Promise.all(
      (Volumes ?? []).map(async (volume) => ({
        ...volume,
        UsageData: { Size: await this.#copyUp.sizeOf(volume.Mountpoint), RefCount: this.#usersOf(volume.Name).length },
      })),
    )
  }

  // --- the mounts of containers ----------------------------------------------------------------------------------------------------------

  async reserve({ containerId, host, anonymous, rootfs }: VolumeRequest): Promise<void> {
    const requests = parseMounts(host, anonymous)
    const taken = new Set(requests.map(({ destination }) => destination))
    const inherited = (host.VolumesFrom ?? []).flatMap((spec) => this.#inherit(containerId, spec)).filter(({ point }) => !taken.has(point.Destination ?? ''))
    const uses = [...requests.map((request) => useOf(containerId, request, this.#defaultDriver)), ...inherited]
    if (uses.length === 0) return
    const before = new Set(this.#records.volumes.keys())
    // Recorded first: from here on the volumes are in use and nobody removes them.
    this.#records.putUses(containerId, uses)
    try {
      for (const use of uses) await this.#prepare(use, requests, rootfs)
      this.#records.putUses(containerId, uses)
    } catch (error) {
      this.#records.deleteUses(containerId)
      const made = uses.map(({ volume }) => volume).filter((name) => name !== undefined && !before.has(name))
      for (const name of made) await this.remove(name as string, { force: true }).catch(() => {}) // another container may have begun to use it
      throw error
    }
  }

  async attach(containerId: string): Promise<VolumeMount[]> {
    const mounts: VolumeMount[] = []
    for (const { point, volume, mount, createSource } of this.#records.uses.get(containerId) ?? []) {
      if (volume !== undefined) {
        const source = await this.#driver(this.#known(volume).driver).mount(volume, containerId)
        const access = point.RW ? 'rw' : 'ro'
        mounts.push({ destination: point.Destination ?? '', type: 'bind', source, options: ['rbind', access, 'rprivate'] })
        this.#tell('mount', volume, { container: containerId, destination: point.Destination ?? '', driver: point.Driver ?? '', propagation: '', 'read/write': String(point.RW) })
      } else if (mount) {
        if (mount.type === 'bind') ensureSource(mount.source, createSource)
        mounts.push(mount)
      }
    }
    return mounts
  }

  async detach(containerId: string): Promise<void> {
    for (const { volume, point } of this.#records.uses.get(containerId) ?? []) {
      const record = volume === undefined ? undefined : this.#records.volumes.get(volume)
      if (!record) continue
      await this.#driver(record.driver).unmount(record.name, containerId)
      this.#tell('unmount', record.name, { container: containerId, driver: point.Driver ?? '' })
    }
  }

  async release(containerId: string, { removeAnonymous }: { removeAnonymous: boolean }): Promise<void> {
    const uses = this.#records.uses.get(containerId) ?? []
    for (const { volume } of uses) {
      const record = volume === undefined ? undefined : this.#records.volumes.get(volume)
      if (record) await this.#driver(record.driver).unmount(record.name, containerId)
    }
    this.#records.deleteUses(containerId)
    if (!removeAnonymous) return
    for (const { volume, anonymous } of uses) {
      if (volume === undefined || !anonymous || this.#usersOf(volume).length > 0) continue
      await this.remove(volume, { force: true })
    }
  }

  mountPoints(containerId: string): MountPoint[] {
    return (this.#records.uses.get(containerId) ?? []).map(({ point }) => point)
  }

  /** After a start: what containers that ended meanwhile had mounted is let go. */
  async restore(running: ReadonlySet<string>): Promise<void> {
    for (const containerId of this.#records.uses.keys()) if (!running.has(containerId)) await this.detach(containerId)
  }

  /** Forgets containers that nobody knows: their creation was interrupted. */
  async forgetAllBut(containers: ReadonlySet<string>): Promise<void> {
    for (const containerId of this.#records.uses.keys()) {
      if (!containers.has(containerId)) await this.release(containerId, { removeAnonymous: true })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#copyUp[Symbol.asyncDispose]()
    this.#records[Symbol.dispose]()
  }

  // -----------------------------------------------------------------------------------------------------------------------------------

  #known(name: string): VolumeRecord {
    const volume = this.#records.volumes.get(name)
    if (!volume) throw new BerthError('not-found', 'VOLUME_NOT_FOUND', `get ${name}: no such volume`)
    return volume
  }

  #driver(name: string): VolumeDriver {
    const driver = this.#drivers.get(name)
    if (!driver) throw new BerthError('not-found', 'VOLUME_DRIVER_NOT_FOUND', `error looking up volume plugin ${name}: plugin "${name}" not found`)
    return driver
  }

  #usersOf(name: string): string[] {
    return [...this.#records.uses].filter(([, uses]) => uses.some(({ volume }) => volume === name)).map(([containerId]) => containerId)
  }

  #usedNames(): Set<string | undefined> {
    return new Set([...this.#records.uses.values()].flat().map(({ volume }) => volume))
  }

  /** The volume of that name, made when it is not there. The caller holds its lock. */
  async #ensure({ name, driver, options, labels, anonymous }: Omit<VolumeRecord, 'createdAt' | 'driver'> & { driver: string | undefined }): Promise<VolumeRecord> {
    const existing = this.#records.volumes.get(name)
    if (existing) {
      if (driver !== undefined && driver !== existing.driver) {
        throw new BerthError('conflict', 'VOLUME_EXISTS', `create ${name}: conflict: volume name must be unique: a volume named ${name} already exists with the ${existing.driver} driver`)
      }
      return existing
    }
    const volume: VolumeRecord = { name, driver: driver ?? this.#defaultDriver, options, labels, anonymous, createdAt: Date.now() }
    await this.#driver(volume.driver).create({ name, options })
    this.#records.putVolume(volume)
    this.#tell('create', name, { driver: volume.driver })
    return volume
  }

  async #prepare(use: UseRecord, requests: MountRequest[], rootfs: readonly Mount[]): Promise<void> {
    if (use.mount?.type === 'bind') return ensureSource(use.mount.source, use.createSource)
    const name = use.volume
    if (name === undefined) return
    const request = requests.find(({ destination }) => destination === use.point.Destination)
    await this.#locks.run(name, async () => {
      const asked = request?.kind === 'volume' ? request : undefined
      const labels = { ...(use.anonymous ? { [anonymousLabel]: '' } : {}), ...asked?.labels }
      const volume = await this.#ensure({ name, driver: asked?.driver, options: asked?.options ?? {}, labels, anonymous: use.anonymous })
      const driver = this.#driver(volume.driver)
      const { mountpoint = '' } = (await driver.get(name)) ?? {}
      use.point = { ...use.point, Source: mountpoint, Driver: volume.driver }
      if (!asked?.copyUp || rootfs.length === 0) return
      const path = await driver.mount(name, use.containerId)
      try {
        await this.#copyUp.fill({ volume: path, rootfs, source: use.point.Destination ?? '' })
      } finally {
        await driver.unmount(name, use.containerId)
      }
    })
  }

  /** The mounts of another container, `ID[:ro|rw]`. */
  #inherit(containerId: string, spec: string): UseRecord[] {
    const [from = '', mode = 'rw'] = spec.split(':')
    if (!['ro', 'rw', 'z', 'Z'].includes(mode)) throw new BerthError('invalid-argument', 'MOUNT_INVALID', `invalid mode for volumes-from: ${mode}`)
    return (this.#records.uses.get(from) ?? []).map((use) => {
      const writable = (use.point.RW ?? true) && mode !== 'ro'
      const mount = use.mount && { ...use.mount, options: writable ? use.mount.options : [...use.mount.options.filter((option) => option !== 'rw'), 'ro'] }
      return { ...use, containerId, point: { ...use.point, RW: writable }, mount }
    })
  }

  async #describe({ name, driver, labels, options, createdAt }: VolumeRecord): Promise<Volume> {
    const info = await this.#drivers.get(driver)?.get(name)
    return {
      Name: name,
      Driver: driver,
      Mountpoint: info?.mountpoint ?? '',
      CreatedAt: `${new Date(createdAt).toISOString().slice(0, 19)}Z`,
      Labels: labels,
      Scope: this.#drivers.get(driver)?.scope ?? 'local',
      Options: options,
    }
  }

  #tell(action: string, name: string, attributes: Record<string, string>): void {
    this.#emit({ type: 'volume', action, id: name, attributes, timeNano: nowNano() })
  }
}

function useOf(containerId: string, request: MountRequest, defaultDriver: string): UseRecord {
  const { destination } = request
  switch (request.kind) {
    case 'volume': {
      const anonymous = request.name === undefined
      const name = request.name ?? newId()
      const point: MountPoint = { Type: 'volume', Name: name, Source: '', Destination: destination, Driver: request.driver ?? defaultDriver, Mode: request.mode, RW: !request.readonly, Propagation: '' }
      return { containerId, point, volume: name, anonymous, mount: undefined, createSource: false }
    }
    case 'bind': {
      const { source, readonly, readonlyBelow, propagation, recursive, createSource, mode } = request
      const point: MountPoint = { Type: 'bind', Source: source, Destination: destination, Mode: mode, RW: !readonly, Propagation: propagation as MountPoint['Propagation'] }
      const mount = { destination, type: 'bind', source, options: [recursive ? 'rbind' : 'bind', readonly ? (readonlyBelow ? 'rro' : 'ro') : 'rw', propagation] }
      return { containerId, point, volume: undefined, anonymous: false, mount, createSource }
    }
    case 'tmpfs': {
      const point: MountPoint = { Type: 'tmpfs', Source: '', Destination: destination, Mode: '', RW: !request.options.includes('ro'), Propagation: '' }
      return { containerId, point, volume: undefined, anonymous: false, mount: { destination, type: 'tmpfs', source: 'tmpfs', options: request.options }, createSource: false }
    }
  }
}

function ensureSource(path: string, create: boolean): void {
  if (existsSync(path)) return
  if (!create) throw new BerthError('invalid-argument', 'BIND_SOURCE_MISSING', `invalid mount config for type "bind": bind source path does not exist: ${path}`)
  mkdirSync(path, { recursive: true })
}

function matchesLabels(labels: Record<string, string>, filters: Filters): boolean {
  const has = (label: string): boolean => {
    const at = label.indexOf('=')
    return at < 0 ? label in labels : labels[label.slice(0, at)] === label.slice(at + 1)
  }
  return (filters.get('label') ?? []).every(has) && !(filters.get('label!') ?? []).some(has)
}
