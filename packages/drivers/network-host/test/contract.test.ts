import { describe, expect, it } from 'vitest'
import { describeNetworkDriver, type NetworkDriverHarness } from '@berth/network-driver/contract'
import { hostNetworks } from '../src/index.ts'

describeNetworkDriver(
  'host',
  async () => {
    const harness: NetworkDriverHarness = {
      driver: hostNetworks(),
      addresses: { host: '10.99.0.1', neighbour: '10.99.0.2' },
      makeSandbox: async () => '/sandbox',
      ask: async () => undefined,
      interfaceOf: async () => undefined,
      occupy: async () => {},
      async crash() {
        harness.driver = hostNetworks()
      },
      async [Symbol.asyncDispose]() {},
    }
    return harness
  },
  { joins: false },
)

describe('host network', () => {
  it('refuses what would promise more than it gives', async () => {
    const driver = hostNetworks()
    const network = { id: '1', name: 'host', isInternal: false, subnets: [], options: {} }
    expect(() => driver.check({ ...network, isInternal: true })).toThrow('cannot be internal')
    expect(() => driver.check({ ...network, subnets: [{ cidr: '10.0.0.0/8', gateway: undefined }] })).toThrow('no subnets')
    const endpoint = { id: '2', networkId: '1', sandbox: '/sandbox', interfaceName: 'eth0', macAddress: '', addresses: [], isDefaultRoute: true }
    await expect(driver.join(endpoint)).rejects.toMatchObject({ kind: 'invalid-argument' })
  })
})
