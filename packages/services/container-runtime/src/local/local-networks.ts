import type { NetworkSettings } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { ContainerNetworks, NetworkRequest } from '../dependencies.ts'

/** Network modes without a network: `none`, which containers have that do not say, and `host`. */
export class LocalNetworks implements ContainerNetworks {
  readonly #modes = new Map<string, string>()

  /** Throws `not-implemented` for networks, and ports, which only a network has. */
  async reserve({ containerId, networkMode, endpoints, host }: NetworkRequest): Promise<void> {
    const mode = networkMode === 'default' ? 'none' : networkMode
    if (!['none', 'host'].includes(mode) || Object.keys(endpoints).some((name) => name !== mode) || Object.keys(host.PortBindings ?? {}).length > 0) {
      throw new BerthError('not-implemented', 'NETWORKS_MISSING', `there are no networks here: the network mode is none or host, not ${mode}`)
    }
    this.#modes.set(containerId, mode)
  }

  /** Without a file of a namespace the runtime makes one. */
  async attach(containerId: string, { namespace = '' }: { namespace?: string } = {}): ReturnType<ContainerNetworks['attach']> {
    return { netns: this.#modes.get(containerId) === 'host' ? 'host' : namespace, hostsPath: undefined, resolvConfPath: undefined }
  }

  async detach(): Promise<void> {}

  async release(containerId: string): Promise<void> {
    this.#modes.delete(containerId)
  }

  async rename(): Promise<void> {}

  settings(): NetworkSettings {
    return {}
  }

  async counters(): ReturnType<ContainerNetworks['counters']> {
    return {}
  }

  async restore(): Promise<void> {}
}
