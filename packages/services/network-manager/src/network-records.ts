import { join } from 'node:path'
import type { EndpointSettings, HostConfig } from '@berth/api-types'
import { openRecords } from '@berth/core'
import type { PortRequest, PublishedPort } from '@berth/network-driver'

/** A subnet of a network and what of it is whose. */
export interface Pool {
  /** In CIDR notation. */
  subnet: string
  /** Where addresses are chosen from; all of the subnet when undefined. */
  range: string | undefined
  gateway: string | undefined
  /** Addresses that others have, by name. */
  auxiliary: Record<string, string>
}

export interface NetworkRecord {
  id: string
  name: string
  driver: string
  /** RFC 3339. */
  createdAt: string
  /** Anything but `ready` is removed at the next start. */
  phase: 'creating' | 'ready' | 'removing'
  /** Made by the manager itself: bridge, host and none. */
  isPredefined: boolean
  isInternal: boolean
  isAttachable: boolean
  hasIpv4: boolean
  hasIpv6: boolean
  pools: Pool[]
  /** Whether a subnet was asked for, so that endpoints may ask for addresses. */
  hasChosenSubnet: boolean
  ipamOptions: Record<string, string> | null
  options: Record<string, string>
  labels: Record<string, string>
}

/** What an endpoint has while its container runs. */
export interface ActiveEndpoint {
  id: string
  interfaceName: string
  macAddress: string
  /** With prefix lengths. */
  ipv4: string | undefined
  ipv6: string | undefined
  isDefaultRoute: boolean
  published: PublishedPort[]
}

export interface EndpointRecord {
  networkId: string
  /** Finds the network again when it was removed and made anew. */
  networkName: string
  /** As asked for at creation or by connect. */
  wanted: Pick<EndpointSettings, 'IPAMConfig' | 'Links' | 'Aliases' | 'DriverOpts' | 'GwPriority' | 'MacAddress'>
  active: ActiveEndpoint | undefined
}

/** Where a container's network lives. */
export type SandboxMode = { kind: 'own' } | { kind: 'host' } | { kind: 'container'; id: string }

interface SandboxRecord {
  id: string
  /** File of the network namespace; `host` for the host's own. */
  netns: string
  /** Digest of the /etc/resolv.conf that was written, to tell whether the container has changed it. */
  resolvConfDigest: string
}

export interface ContainerRecord {
  id: string
  name: string
  hostname: string
  domainname: string
  mode: SandboxMode
  host: Pick<HostConfig, 'Dns' | 'DnsOptions' | 'DnsSearch' | 'ExtraHosts' | 'Links'>
  /** An empty host address stands for all of the host's. */
  ports: PortRequest[]
  /** `80/tcp`: all that are told of, published or not. */
  exposedPorts: string[]
  endpoints: EndpointRecord[]
  /** Present from before the first change in the kernel until after the last. */
  sandbox: SandboxRecord | undefined
}

/**
 * What is known of networks and of the containers on them, in memory and on disk. An address is taken because the record of an endpoint says
 * so: the two cannot disagree, whenever the process ends.
 */
export interface NetworkRecords extends Disposable {
  readonly networks: ReadonlyMap<string, NetworkRecord>
  readonly containers: ReadonlyMap<string, ContainerRecord>
  putNetwork(network: NetworkRecord): void
  deleteNetwork(id: string): void
  putContainer(container: ContainerRecord): void
  deleteContainer(id: string): void
}

const migrations = [
  `CREATE TABLE networks (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
   CREATE TABLE containers (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT`,
]

export function openNetworkRecords(dir: string): NetworkRecords {
  const db = openRecords({ path: join(dir, 'networks.db'), migrations })
  const table = <T extends { id: string }>(name: 'networks' | 'containers') => {
    const put = db.prepare(`INSERT OR REPLACE INTO ${name} VALUES (?, ?)`)
    const remove = db.prepare(`DELETE FROM ${name} WHERE id = ?`)
    const rows = new Map(db.prepare(`SELECT * FROM ${name} ORDER BY rowid`).all().map((row) => [String(row['id']), JSON.parse(String(row['record'])) as T]))
    return {
      rows,
      put(record: T): void {
        put.run(record.id, JSON.stringify(record))
        rows.set(record.id, record)
      },
      delete(id: string): void {
        remove.run(id)
        rows.delete(id)
      },
    }
  }
  const networks = table<NetworkRecord>('networks')
  const containers = table<ContainerRecord>('containers')
  return {
    networks: networks.rows,
    containers: containers.rows,
    putNetwork: networks.put,
    deleteNetwork: networks.delete,
    putContainer: containers.put,
    deleteContainer: containers.delete,
    [Symbol.dispose]() {
      db.close()
    },
  }
}
