import { BerthError, type EmitEvent, type KeyedMutex, type Logger, nowNano } from '@berth/core'
import type { NamespaceRunner } from '@berth/linux'
import type { NetworkDefinition, NetworkDriver } from '@berth/network-driver'
import type { AddressAllocator } from './allocate-addresses.ts'
import type { AddressPool } from './choose-subnet.ts'
import type { EmbeddedDns } from './embedded-dns.ts'
import type { HostFacts } from './host-facts.ts'
import type { ContainerRecord, NetworkRecord, NetworkRecords } from './network-records.ts'

/** What every operation works on. */
export interface Context {
  records: NetworkRecords
  drivers: ReadonlyMap<string, NetworkDriver>
  addresses: AddressAllocator
  namespaces: NamespaceRunner
  dns: EmbeddedDns
  host: HostFacts
  execDir: string
  /** Of files that running containers write to, as much as they like. */
  filesDir: string
  pools: readonly AddressPool[]
  /** Name servers for containers that ask for none; empty for the host's. */
  dnsServers: readonly string[]
  /** Serializes what changes one container. */
  locks: KeyedMutex
  emit: EmitEvent
  logger: Logger
}

export type Filters = ReadonlyMap<string, readonly string[]>

export const defaultBridge = 'bridge'

export function invalid(code: string, message: string): BerthError {
  return new BerthError('invalid-argument', code, message)
}

export function driverOf({ drivers }: Context, name: string): NetworkDriver {
  const driver = drivers.get(name)
  if (!driver) throw new BerthError('not-found', 'NETWORK_DRIVER_NOT_FOUND', `could not find plugin ${name} in v1 plugin registry: plugin not found`)
  return driver
}

/** A network as its driver knows it. */
export function definitionOf({ id, name, isInternal, pools, options }: NetworkRecord): NetworkDefinition {
  return { id, name, isInternal, subnets: pools.map(({ subnet, gateway }) => ({ cidr: subnet, gateway })), options }
}

/** Whether containers on it find each other by name: not on those that Docker made itself. */
export function hasNames({ drivers }: Context, { isPredefined, driver }: NetworkRecord): boolean {
  return !isPredefined && drivers.get(driver)?.sandbox === 'own'
}

/** The default bridge, where there is one. */
export function defaultBridgeOf({ records }: Context): NetworkRecord | undefined {
  return [...records.networks.values()].find(({ isPredefined, name }) => isPredefined && name === defaultBridge)
}

/** Containers that have an endpoint in the kernel on a network. */
export function activeOn({ records }: Context, networkId: string): ContainerRecord[] {
  return [...records.containers.values()].filter(({ endpoints }) => endpoints.some((endpoint) => endpoint.networkId === networkId && endpoint.active))
}

export function tell({ emit }: Context, action: string, { id, name, driver }: NetworkRecord, attributes: Record<string, string> = {}): void {
  emit({ type: 'network', action, id, attributes: { ...attributes, name, type: driver }, timeNano: nowNano() })
}
