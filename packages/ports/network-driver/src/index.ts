/**
 * The network driver port: what a network manager asks of whatever connects containers.
 *
 * Vocabulary. A *network* is a named medium that endpoints are on. A *sandbox* is the network namespace of a container, given as the path of a
 * file that holds it. An *endpoint* is a sandbox's place on a network: an interface with a MAC address and IP addresses. A *published port* is a
 * port of the host that leads to one of an endpoint. The manager chooses IDs, subnets, gateways, addresses, MAC addresses and interface names and
 * keeps the records; the driver makes them true in the kernel and keeps no record of its own.
 *
 * Life cycle. `check` refuses what the driver cannot do, before anything is recorded. `createNetwork`, then for each container `join`, perhaps
 * `publish`, and `leave`, which takes back what the endpoint has, published ports too; at last `removeNetwork`. When a manager starts, it calls
 * `restore` once with everything that should be there: what is there stays undisturbed (containers run on through it), what is missing (after a
 * reboot) is made again, and what is there of this driver's and not named (after a crash) is removed. Joining, publishing and leaving twice is no error.
 * Each operation happens whole or not at all.
 *
 * Must fail: an option or a property that the driver does not know or cannot do (`invalid-argument`, naming it); a host port that is taken, by
 * us or by another program (`conflict`, with Docker's words: `port is already allocated`, `address already in use`, `all ports are allocated` of a range); joining an unknown network (`not-found`).
 * Leaving or removing what is not there succeeds.
 *
 * @example
 * driver.check(network)
 * await driver.createNetwork(network)
 * await driver.join({ id: 'e1', networkId: network.id, sandbox: '/run/berth/netns/c1', interfaceName: 'eth0', macAddress: '02:42:ac:12:00:02', addresses: ['172.18.0.2/16'], isDefaultRoute: true })
 * const published = await driver.publish(network.id, 'e1', [{ protocol: 'tcp', containerPort: 80, hostAddress: '0.0.0.0', hostPorts: { first: 8080, last: 8080 } }])
 */
export interface NetworkDriver extends AsyncDisposable {
  /** As in `docker network create --driver`; `null` is Docker's for no network. */
  readonly name: string
  readonly scope: 'local' | 'global'
  /** `own`: a container has a sandbox of its own, which this driver joins to networks; `host`: it lives in the host's, and nothing is ever joined. */
  readonly sandbox: 'own' | 'host'
  /** Whether networks of this driver have subnets, and their endpoints addresses of them. */
  readonly hasAddresses: boolean
  /** Throws for a network that this driver would not make. Looks at nothing but its argument. */
  check(network: NetworkDefinition): void
  createNetwork(network: NetworkDefinition): Promise<void>
  removeNetwork(networkId: string): Promise<void>
  join(endpoint: EndpointDefinition): Promise<void>
  /** Makes the endpoint the one that traffic to elsewhere leaves by, or no longer. */
  setDefaultRoute(networkId: string, endpointId: string, isDefaultRoute: boolean): Promise<void>
  leave(networkId: string, endpointId: string): Promise<void>
  /**
   * Publishes all of the ports or none; ports that the endpoint has published already stay. A free one is chosen of each range, and one for all
   * requests that differ in nothing but the host address (`0.0.0.0` and `::`). The answers are in the order of the requests; a driver whose
   * networks have no addresses publishes nothing and answers with none.
   */
  publish(networkId: string, endpointId: string, ports: readonly PortRequest[]): Promise<PublishedPort[]>
  unpublish(networkId: string, endpointId: string): Promise<void>
  /** A network or an endpoint that cannot be had again is told to the log and left out, so that it keeps no other from being there. */
  restore(networks: readonly RestoredNetwork[]): Promise<void>
}

export interface NetworkDefinition {
  /** 64 hexadecimal digits. */
  id: string
  name: string
  /** No way out of the network, and none in but from the host. */
  isInternal: boolean
  subnets: readonly Subnet[]
  /** As in `docker network create --opt`. */
  options: Readonly<Record<string, string>>
}

/** One of IPv4 or IPv6, which its notation tells. */
export interface Subnet {
  /** In CIDR notation, `172.18.0.0/16`. */
  cidr: string
  /** The address that the host has on the network; undefined where it has none. */
  gateway: string | undefined
}

export interface EndpointDefinition {
  /** 64 hexadecimal digits. */
  id: string
  networkId: string
  /** Path of a file that is the network namespace. */
  sandbox: string
  /** The interface's name inside. */
  interfaceName: string
  macAddress: string
  /** With their prefix lengths, `172.18.0.2/16`; at most one a subnet. */
  addresses: readonly string[]
  isDefaultRoute: boolean
  /** Of the endpoint, `docker network connect --driver-opt`. */
  options?: Readonly<Record<string, string>>
}

export type PortProtocol = 'tcp' | 'udp' | 'sctp'

export interface PortRequest {
  protocol: PortProtocol
  containerPort: number
  /** An address of the host; `0.0.0.0` and `::` stand for all of their family. */
  hostAddress: string
  /** Both included; undefined for any free port. */
  hostPorts: { first: number; last: number } | undefined
}

export interface PublishedPort {
  protocol: PortProtocol
  containerPort: number
  hostAddress: string
  hostPort: number
}

export interface RestoredNetwork {
  network: NetworkDefinition
  /** Those whose containers run. */
  endpoints: readonly { endpoint: EndpointDefinition; published: readonly PublishedPort[] }[]
}

export { groupPortRequests, isSameHostPort, matchPublished } from './port-requests.ts'
