import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Network, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest, NetworkSettings } from '@berth/api-types'
import { BerthError, type EmitEvent, isErrno, isKind, KeyedMutex, type Logger, silent } from '@berth/core'
import { type InterfaceCounters, NamespaceRunner } from '@berth/linux'
import type { NetworkDriver } from '@berth/network-driver'
import { AddressAllocator } from './allocate-addresses.ts'
import { attach, type NetworkSandbox } from './attach.ts'
import { type AddressPool, defaultPools } from './choose-subnet.ts'
import { connectContainer, disconnectContainer } from './connect.ts'
import { publishNames, wantsNames } from './container-names.ts'
import type { Context, Filters } from './context.ts'
import { createNetwork } from './create-network.ts'
import { takeDown } from './detach.ts'
import { EmbeddedDns } from './embedded-dns.ts'
import { findContainer, findNetwork } from './find.ts'
import { type HostFacts, hostFacts } from './host-facts.ts'
import { describeNetwork, listNetworks } from './list-networks.ts'
import { type ContainerRecord, openNetworkRecords } from './network-records.ts'
import { type DefaultBridgeOptions, definePredefined } from './predefined.ts'
import { pruneNetworks, removeNetwork } from './remove-network.ts'
import { type NetworkRequest, planContainer } from './reserve.ts'
import { restoreNetworks, shutDownNetworks } from './restore.ts'
import { settingsOf } from './settings.ts'

export interface NetworkManagerOptions {
  /** The directory of the manager's records and of files of running containers, its own. On a disk, as containers write to those files. */
  stateDir: string
  /** A directory for network namespaces, its own. A reboot may empty it. */
  execDir: string
  /** `bridge`, `host` and `null` each bring the network of theirs that is always there. */
  drivers: readonly NetworkDriver[]
  defaultBridge?: DefaultBridgeOptions
  /** Where subnets of networks are cut from; Docker's ranges unless given. */
  addressPools?: readonly AddressPool[]
  /** Name servers for containers that ask for none; the host's unless given. */
  dns?: readonly string[]
  /** What the host has, for tests. */
  host?: Partial<HostFacts>
  emit?: EmitEvent
  logger?: Logger
}

/** Networks, and the sandboxes and endpoints of containers on them. Call {@link restore} before anything else that changes something. */
export class NetworkManager implements AsyncDisposable {
  readonly #ctx: Context

  constructor({ stateDir, execDir, drivers, defaultBridge = {}, addressPools = defaultPools, dns = [], host = {}, emit = () => {}, logger = silent }: NetworkManagerOptions) {
    mkdirSync(execDir, { recursive: true, mode: 0o710 })
    this.#ctx = {
      records: openNetworkRecords(stateDir),
      drivers: new Map(drivers.map((driver) => [driver.name, driver])),
      addresses: new AddressAllocator(),
      namespaces: new NamespaceRunner(),
      dns: new EmbeddedDns(logger),
      host: { ...hostFacts, ...host },
      execDir,
      filesDir: join(stateDir, 'files'),
      pools: addressPools,
      dnsServers: dns,
      locks: new KeyedMutex(),
      emit,
      logger,
    }
    try {
      definePredefined(this.#ctx, defaultBridge)
    } catch (error) {
      this.#ctx.records[Symbol.dispose]()
      throw error
    }
  }

  // --- networks --------------------------------------------------------------------------------------------------------------------------

  async create(request: NetworkCreateRequest): Promise<{ Id: string; Warning: string }> {
    const { id } = await createNetwork(this.#ctx, request)
    return { Id: id, Warning: '' }
  }

  async list(filters: Filters): Promise<Network[]> {
    return listNetworks(this.#ctx, filters)
  }

  async inspect(ref: string, { scope }: { verbose?: boolean; scope?: string } = {}): Promise<Network> {
    const network = describeNetwork(this.#ctx, findNetwork(this.#ctx, ref))
    if (scope && network.Scope !== scope) throw new BerthError('not-found', 'NETWORK_NOT_FOUND', `network ${ref} not found`)
    return network
  }

  async remove(ref: string): Promise<void> {
    await removeNetwork(this.#ctx, ref)
  }

  async prune(filters: Filters): Promise<{ NetworksDeleted: string[] }> {
    return pruneNetworks(this.#ctx, filters)
  }

  async connect(ref: string, { Container = '', EndpointConfig }: NetworkConnectRequest): Promise<void> {
    const { id } = findContainer(this.#ctx, Container)
    await this.#locked(id, (container) => connectContainer(this.#ctx, findNetwork(this.#ctx, ref), container, EndpointConfig))
  }

  /** With `Force`, a container that is not known is no error. */
  async disconnect(ref: string, { Container = '', Force = false }: NetworkDisconnectRequest): Promise<void> {
    const network = findNetwork(this.#ctx, ref)
    try {
      const { id } = findContainer(this.#ctx, Container)
      await this.#locked(id, (container) => disconnectContainer(this.#ctx, network, container))
    } catch (error) {
      if (!Force || !isKind(error, 'not-found')) throw error
    }
  }

  /** Names of the drivers, for `info`. */
  get driverNames(): string[] {
    return [...this.#ctx.drivers.keys()]
  }

  // --- containers ------------------------------------------------------------------------------------------------------------------------

  /** Checks and records what a container wants; nothing is made in the kernel yet. */
  async reserve(request: NetworkRequest): Promise<void> {
    const container = planContainer(this.#ctx, request)
    this.#ctx.records.putContainer(container)
    // It starts meanwhile, and is there when the container does.
    if (wantsNames(this.#ctx, container)) this.#ctx.dns.prepare()
  }

  /**
   * Makes the sandbox with all its endpoints and published ports, or nothing. Gives the other's for `container:…`.
   * @param options.namespace File of a network namespace that becomes the sandbox, as one that a user namespace owns; a new one when absent.
   */
  async attach(containerId: string, options: { namespace?: string } = {}): Promise<NetworkSandbox> {
    return this.#locked(containerId, (container) => attach(this.#ctx, container, options))
  }

  /** Takes the sandbox down; what was reserved stays. Idempotent. */
  async detach(containerId: string): Promise<void> {
    if (this.#ctx.records.containers.has(containerId)) await this.#locked(containerId, (container) => takeDown(this.#ctx, container))
  }

  /** Forgets the container, which is detached first when it has to be. Idempotent. */
  async release(containerId: string): Promise<void> {
    if (!this.#ctx.records.containers.has(containerId)) return
    await this.#locked(containerId, async (container) => {
      await takeDown(this.#ctx, container)
      this.#ctx.records.deleteContainer(containerId)
    })
  }

  /** Others find the container by its new name at once. */
  async rename(containerId: string, name: string): Promise<void> {
    await this.#locked(containerId, async (container) => {
      container.name = name
      this.#ctx.records.putContainer(container)
      publishNames(this.#ctx, container)
    })
  }

  settings(containerId: string): NetworkSettings {
    return settingsOf(this.#ctx, containerId)
  }

  /** By interface; empty when the container has no sandbox of its own, or does not run. */
  async counters(containerId: string): Promise<Record<string, InterfaceCounters>> {
    const container = this.#ctx.records.containers.get(containerId)
    if (!container?.sandbox || container.mode.kind !== 'own') return {}
    try {
      return await this.#ctx.namespaces.counters(container.sandbox.netns)
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'EINVAL')) return {} // taken down meanwhile
      throw error
    }
  }

  // --- start and end ---------------------------------------------------------------------------------------------------------------------

  /** Makes true in the kernel what the records say: networks, and what the containers that run have. What others had is taken down. */
  async restore(running: ReadonlySet<string>): Promise<void> {
    await restoreNetworks(this.#ctx, running)
  }

  /** Takes networks that no running container is on out of the kernel; records stay, and the next `restore` makes them again. Dispose afterwards. */
  async shutDown(): Promise<void> {
    await shutDownNetworks(this.#ctx)
  }

  /** Lets go of threads and records. Containers keep their networks, but for the name servers, which end with the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ctx.dns[Symbol.asyncDispose]()
    await this.#ctx.namespaces[Symbol.asyncDispose]()
    this.#ctx.records[Symbol.dispose]()
  }

  /** Runs work on a container when nobody else does. Throws `not-found` for one that is not known, or no longer. */
  #locked<T>(containerId: string, work: (container: ContainerRecord) => Promise<T>): Promise<T> {
    return this.#ctx.locks.run(containerId, () => work(findContainer(this.#ctx, containerId)))
  }
}
