import { BerthError } from '@berth/core'
import type { NetworkDriver } from '@berth/network-driver'

/**
 * No network: a container has a sandbox of its own with nothing in it but the loopback interface.
 *
 * @example
 * const driver = noNetworks()
 * await driver.createNetwork({ id, name: 'none', isInternal: false, subnets: [], options: {} })
 */
export function noNetworks(): NetworkDriver {
  const networks = new Set<string>()
  const check: NetworkDriver['check'] = ({ name, options, subnets }) => {
    const [unknown] = Object.keys(options)
    if (unknown !== undefined) throw new BerthError('invalid-argument', 'NETWORK_OPTION_UNKNOWN', `network ${name}: unknown option "${unknown}" of the driver null`)
    if (subnets.length > 0) throw new BerthError('invalid-argument', 'NETWORK_SUBNET_UNSUPPORTED', `network ${name}: networks of the driver null have no subnets`)
  }
  return {
    name: 'null',
    scope: 'local',
    sandbox: 'own',
    hasAddresses: false,
    check,
    async createNetwork(network) {
      check(network)
      networks.add(network.id)
    },
    async removeNetwork(networkId) {
      networks.delete(networkId)
    },
    async join({ networkId }) {
      if (!networks.has(networkId)) throw new BerthError('not-found', 'NETWORK_NOT_FOUND', `network ${networkId} not found`)
    },
    async setDefaultRoute() {},
    async leave() {},
    publish: async () => [],
    async unpublish() {},
    async restore(restored) {
      networks.clear()
      for (const { network } of restored) networks.add(network.id)
    },
    async [Symbol.asyncDispose]() {},
  }
}
