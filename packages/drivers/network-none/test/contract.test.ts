import { describeNetworkDriver } from '@berth/network-driver/contract'
import { noNetworks } from '../src/index.ts'

// Nothing ever answers here, and no sandbox has an interface.
describeNetworkDriver(
  'none',
  async () => ({
    driver: noNetworks(),
    addresses: { host: '10.99.0.1', neighbour: '10.99.0.2' },
    makeSandbox: async () => '/sandbox',
    ask: async () => undefined,
    interfaceOf: async () => undefined,
    occupy: async () => {},
    async crash() {
      this.driver = noNetworks()
    },
    async [Symbol.asyncDispose]() {},
  }),
  { addresses: false },
)
