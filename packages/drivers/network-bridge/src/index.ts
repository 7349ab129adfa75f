import { type Logger, silent } from '@berth/core'
import type { NetworkDriver } from '@berth/network-driver'
import { BridgeDriver } from './bridge-driver.ts'

export interface BridgeNetworksOptions {
  /**
   * The name of the nftables table, and of what marks the driver's links: two drivers in one network namespace need two. Letters, digits
   * and `_`; `berth` if left out.
   */
  table?: string
  logger?: Logger
}

/**
 * Networks as Linux bridges of this machine, with a veth pair for each endpoint, and one nftables table of its own for NAT, published ports and
 * isolation. Everything stays in the kernel when the program ends, and `restore` takes it over again.
 *
 * @example
 * await using driver = bridgeNetworks()
 * await driver.restore([])
 * await driver.createNetwork({ id, name: 'backend', isInternal: false, subnets: [{ cidr: '172.18.0.0/16', gateway: '172.18.0.1' }], options: {} })
 */
export function bridgeNetworks({ table = 'berth', logger = silent }: BridgeNetworksOptions = {}): NetworkDriver {
  if (!/^[a-z][a-z0-9_]{0,30}$/i.test(table)) throw new RangeError(`no name of a table: ${table}`)
  return new BridgeDriver({ table, logger })
}
