import { BerthError } from '@berth/core'
import type { NetworkDriver } from '@berth/network-driver'

/**
 * The host's own network: a container lives in the host's network namespace, so that nothing is ever joined or published.
 *
 * @example
 * const driver = hostNetworks()
 * await driver.createNetwork({ id, name: 'host', isInternal: false, subnets: [], options: {} })
 */
export function hostNetworks(): NetworkDriver {
  const check: NetworkDriver['check'] = ({ name, options, subnets, isInternal }) => {
    const [unknown] = Object.keys(options)
    if (unknown !== undefined) throw new BerthError('invalid-argument', 'NETWORK_OPTION_UNKNOWN', `network ${name}: unknown option "${unknown}" of the driver host`)
    if (subnets.length > 0) throw new BerthError('invalid-argument', 'NETWORK_SUBNET_UNSUPPORTED', `network ${name}: networks of the driver host have no subnets`)
    if (isInternal) throw new BerthError('invalid-argument', 'NETWORK_INTERNAL_UNSUPPORTED', `network ${name}: the host's network cannot be internal`)
  }
  return {
    name: 'host',
    scope: 'local',
    sandbox: 'host',
    hasAddresses: false,
    check,
    async createNetwork(network) {
      check(network)
    },
    async removeNetwork() {},
    async join({ id }) {
      throw new BerthError('invalid-argument', 'HOST_NETWORK_JOINED', `endpoint ${id}: a sandbox cannot be joined to the host's network`)
    },
    async setDefaultRoute() {},
    async leave() {},
    publish: async () => [],
    async unpublish() {},
    async restore() {},
    async [Symbol.asyncDispose]() {},
  }
}
