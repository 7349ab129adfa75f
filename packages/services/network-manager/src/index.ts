/**
 * Networks, address allocation, the sandboxes and endpoints of containers, names, and published ports, over drivers that connect them.
 *
 * @example
 * await using networks = new NetworkManager({ stateDir, execDir, drivers: [bridgeNetworks(), hostNetwork(), noNetwork()] })
 * await networks.restore(new Set())
 * await networks.create({ Name: 'front' })
 */
export type { NetworkSandbox } from './attach.ts'
export type { AddressPool } from './choose-subnet.ts'
export type { HostFacts } from './host-facts.ts'
export { NetworkManager, type NetworkManagerOptions } from './network-manager.ts'
export type { DefaultBridgeOptions } from './predefined.ts'
export type { NetworkRequest } from './reserve.ts'
