import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EngineEvent, newId } from '@berth/core'
import { deleteNetns } from '@berth/linux'
import { memoryNetworkDriver, memoryNetworkState, type MemoryNetworkState } from '@berth/network-driver/memory'
import { type HostFacts, NetworkManager, type NetworkManagerOptions, type NetworkRequest } from '../src/index.ts'

/** A machine without routes that could be in the way. */
const host: HostFacts = {
  routes: () => [],
  hasIpv6: () => true,
  hosts: () => '127.0.0.1\tlocalhost mainframe\n',
  resolvConf: () => 'nameserver 192.0.2.53\nsearch example.org\n',
}

const knownOptions = ['bridge.name', 'bridge.default_bridge', 'bridge.enable_icc', 'bridge.enable_ip_masquerade', 'bridge.host_binding_ipv4', 'driver.mtu'].map((option) => `com.docker.network.${option}`)

/** One manager after another over the same directories and the same kernel, the drivers' memory. */
export class Machine implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'berth-networks-'))
  readonly kernel: MemoryNetworkState = memoryNetworkState()
  readonly events: EngineEvent[] = []
  #manager: NetworkManager | undefined

  /** Not beside the namespaces, in what may be memory: containers write here as much as they like. */
  get filesDir(): string {
    return join(this.dir, 'state', 'files')
  }

  get execDir(): string {
    return join(this.dir, 'exec')
  }

  /** Starts a manager, in place of the one before, which is let go as by its death. */
  async start({ running = [], ...options }: Partial<NetworkManagerOptions> & { running?: readonly string[] } = {}): Promise<NetworkManager> {
    await this.stop()
    const bridge = memoryNetworkDriver({ name: 'bridge', state: this.kernel, knownOptions })
    const drivers = [bridge, memoryNetworkDriver({ name: 'host', sandbox: 'host', hasAddresses: false }), memoryNetworkDriver({ name: 'null', hasAddresses: false })]
    this.#manager = new NetworkManager({ stateDir: join(this.dir, 'state'), execDir: this.execDir, drivers, host, emit: (event) => this.events.push(event), ...options })
    await this.#manager.restore(new Set(running))
    return this.#manager
  }

  async stop(): Promise<void> {
    await this.#manager?.[Symbol.asyncDispose]()
    this.#manager = undefined
  }

  /** Endpoints in the kernel. */
  get endpoints(): string[] {
    return [...this.kernel.networks.values()].flatMap(({ endpoints }) => [...endpoints.keys()])
  }

  namesIn(directory: 'netns' | 'files'): string[] {
    const path = directory === 'netns' ? join(this.execDir, directory) : this.filesDir
    return existsSync(path) ? readdirSync(path) : []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    for (const name of this.namesIn('netns')) deleteNetns(join(this.execDir, 'netns', name))
    rmSync(this.dir, { recursive: true })
  }
}

export function requestFor(name: string, more: Partial<NetworkRequest> = {}): NetworkRequest {
  return { containerId: newId(), containerName: name, hostname: name, domainname: '', networkMode: 'default', endpoints: {}, host: {}, exposedPorts: [], ...more }
}

/** Reserves and attaches a container; gives its ID. */
export async function run(networks: NetworkManager, name: string, more: Partial<NetworkRequest> = {}): Promise<string> {
  const request = requestFor(name, more)
  await networks.reserve(request)
  await networks.attach(request.containerId)
  return request.containerId
}

/** The address of a container on a network. */
export function addressOn(networks: NetworkManager, id: string, network: string): string {
  return networks.settings(id).Networks?.[network]?.IPAddress ?? ''
}
