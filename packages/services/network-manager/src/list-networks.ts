import type { IPAMConfig, Network, NetworkContainer } from '@berth/api-types'
import { activeOn, type Context, type Filters, invalid } from './context.ts'
import type { NetworkRecord } from './network-records.ts'

type Test = (network: NetworkRecord, value: string) => boolean

const isTrue = (value: string): boolean => ['1', 'true', 'True', 'TRUE', 't', 'T'].includes(value)

/** `^` and `$` stand for the ends; anything else for itself. */
function matchesName(name: string, pattern: string): boolean {
  const [atStart, atEnd] = [pattern.startsWith('^'), pattern.endsWith('$')]
  const text = pattern.slice(atStart ? 1 : 0, atEnd ? -1 : undefined)
  if (atStart && atEnd) return name === text
  if (atStart) return name.startsWith(text)
  return atEnd ? name.endsWith(text) : name.includes(text)
}

/** `key` or `key=value`. */
export function matchesLabel({ labels }: NetworkRecord, wanted: string): boolean {
  const at = wanted.indexOf('=')
  const key = at < 0 ? wanted : wanted.slice(0, at)
  return Object.hasOwn(labels, key) && (at < 0 || labels[key] === wanted.slice(at + 1))
}

function testsOf(ctx: Context): Record<string, Test> {
  return {
    id: ({ id }, value) => id.startsWith(value),
    name: ({ name }, value) => matchesName(name, value),
    driver: ({ driver }, value) => driver === value,
    scope: (network, value) => scopeOf(ctx, network) === value,
    label: matchesLabel,
    type: ({ isPredefined }, value) => {
      if (value !== 'custom' && value !== 'builtin') throw invalid('FILTER_INVALID', `invalid filter: 'type'='${value}'`)
      return isPredefined === (value === 'builtin')
    },
    // Containers that do not run use a network as well as others do not, in Docker's eyes.
    dangling: (network, value) => (!network.isPredefined && activeOn(ctx, network.id).length === 0) === isTrue(value),
  }
}

/** Those that match every filter by one of its values, labels by all of theirs. */
export function listNetworks(ctx: Context, filters: Filters): Network[] {
  const tests = testsOf(ctx)
  for (const key of filters.keys()) if (!Object.hasOwn(tests, key)) throw invalid('FILTER_INVALID', `invalid filter '${key}'`)
  const matches = (network: NetworkRecord): boolean =>
    [...filters].every(([key, values]) => {
      const test = (value: string): boolean => tests[key]!(network, value)
      return key === 'label' ? values.every(test) : values.length === 0 || values.some(test)
    })
  return [...ctx.records.networks.values()]
    .filter((network) => network.phase === 'ready' && matches(network))
    .map((network) => ({ ...describeNetwork(ctx, network), Containers: {} }))
}

function scopeOf({ drivers }: Context, { driver }: NetworkRecord): string {
  return drivers.get(driver)?.scope ?? 'local'
}

/** A network as inspect shows it, with the containers that run on it. */
export function describeNetwork(ctx: Context, network: NetworkRecord): Network {
  const { id, name, pools } = network
  const containers = activeOn(ctx, id).map((container): [string, NetworkContainer] => {
    const { active } = container.endpoints.find(({ networkId }) => networkId === id)!
    return [container.id, { Name: container.name, EndpointID: active?.id ?? '', MacAddress: active?.macAddress ?? '', IPv4Address: active?.ipv4 ?? '', IPv6Address: active?.ipv6 ?? '' }]
  })
  const config = pools.map(({ subnet, range, gateway, auxiliary }): IPAMConfig => ({
    Subnet: subnet,
    ...(range ? { IPRange: range } : {}),
    ...(gateway ? { Gateway: gateway } : {}),
    ...(Object.keys(auxiliary).length > 0 ? { AuxiliaryAddresses: auxiliary } : {}),
  }))
  return {
    Name: name,
    Id: id,
    Created: network.createdAt,
    Scope: scopeOf(ctx, network),
    Driver: network.driver,
    EnableIPv4: network.hasIpv4,
    EnableIPv6: network.hasIpv6,
    // Docker has null for what was never given, which the types leave out.
    IPAM: { Driver: 'default', Options: network.ipamOptions, Config: config.length > 0 ? config : null } as NonNullable<Network['IPAM']>,
    Internal: network.isInternal,
    Attachable: network.isAttachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: Object.fromEntries(containers),
    Options: network.options,
    Labels: network.labels,
  }
}
