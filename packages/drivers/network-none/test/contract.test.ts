import { expect, it } from 'vitest'
import { describeNetworkDriver, type NetworkDriverHarness } from '@berth/network-driver/contract'
import { noNetworks } from '../src/index.ts'

// Nothing ever answers here, and no sandbox has an interface.
describeNetworkDriver(
  'none',
  async () => {
    const harness: NetworkDriverHarness = {
      driver: noNetworks(),
      addresses: { host: '10.99.0.1', neighbour: '10.99.0.2' },
      makeSandbox: async () => '/sandbox',
      ask: async () => undefined,
      interfaceOf: async () => undefined,
      occupy: async () => {},
      async crash() {
        harness.driver = noNetworks()
      },
      async [Symbol.asyncDispose]() {},
    }
    return harness
  },
  { addresses: false },
)

it('joins without an interface, and publishes nothing', async () => {
  const driver = noNetworks()
  await driver.restore([{ network: { id: '1', name: 'none', isInternal: false, subnets: [], options: {} }, endpoints: [] }])
  const endpoint = { id: '2', networkId: '1', sandbox: '/no/sandbox/at/all', interfaceName: 'eth0', macAddress: '', addresses: [], isDefaultRoute: true }
  await driver.join(endpoint)
  expect(await driver.publish('1', '2', [{ protocol: 'tcp', containerPort: 80, hostAddress: '0.0.0.0', hostPorts: undefined }])).toEqual([])
})
