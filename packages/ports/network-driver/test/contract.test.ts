import { describeNetworkDriver, type NetworkDriverHarness, type Place } from '../src/contract.ts'
import { type MemoryEndpoint, memoryNetworkDriver, memoryNetworkState } from '../src/memory.ts'

const addresses = { host: '10.99.0.1', neighbour: '10.99.0.2' }

describeNetworkDriver('memory', async () => {
  const state = memoryNetworkState()
  let sandboxes = 0
  const networksOf = (sandbox: string) =>
    [...state.networks.values()].filter(({ endpoints }) => [...endpoints.values()].some(({ definition }) => definition.sandbox === sandbox))
  const endpoints = () => [...state.networks.values()].flatMap(({ definition, endpoints: all }) => [...all.values()].map((endpoint) => ({ network: definition, ...endpoint })))
  const hasAddress = ({ definition }: MemoryEndpoint, address: string) => definition.addresses.some((cidr) => cidr.split('/')[0] === address)
  const leadsElsewhere = (from: Place) =>
    from === 'host' || from === 'neighbour' || endpoints().some(({ network, definition }) => definition.sandbox === from && definition.isDefaultRoute && !network.isInternal)

  const harness: NetworkDriverHarness = {
    driver: memoryNetworkDriver({ state }),
    addresses,
    makeSandbox: async () => `/sandbox/${sandboxes++}`,
    async ask(from, { protocol, address, port }) {
      if (address === addresses.neighbour) return leadsElsewhere(from) ? 'neighbour' : undefined
      const direct = endpoints().find((endpoint) => hasAddress(endpoint, address))
      if (direct) return from === 'host' || networksOf(from).some(({ definition }) => definition === direct.network) ? direct.definition.sandbox : undefined
      if (!leadsElsewhere(from)) return undefined
      const all = address.includes(':') ? '::' : '0.0.0.0'
      return endpoints().find(({ published }) => published.some((one) => one.protocol === protocol && one.hostPort === port && [address, all].includes(one.hostAddress)))?.definition.sandbox
    },
    async interfaceOf(sandbox, name) {
      const found = endpoints().find(({ definition }) => definition.sandbox === sandbox && definition.interfaceName === name)
      return found && { macAddress: found.definition.macAddress, addresses: [...found.definition.addresses] }
    },
    occupy: async (port) => void state.taken.push(port),
    async crash() {
      harness.driver = memoryNetworkDriver({ state })
    },
    async [Symbol.asyncDispose]() {},
  }
  return harness
})
