import { readFileSync } from 'node:fs'
import { type Cidr, cidrOf } from './cidr.ts'

/** What a network manager looks up on the machine it runs on. */
export interface HostFacts {
  /** Destinations of the routes of IPv4, the default route left out. */
  routes(): Cidr[]
  hasIpv6(): boolean
  /** Contents of /etc/hosts and /etc/resolv.conf. */
  hosts(): string
  resolvConf(): string
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The machine as its kernel and its files show it now. */
export const hostFacts: HostFacts = {
  routes: () => parseRoutes(read('/proc/net/route')),
  hasIpv6: () => read('/proc/net/if_inet6') !== '' && read('/proc/sys/net/ipv6/conf/all/disable_ipv6').trim() === '0',
  hosts: () => read('/etc/hosts'),
  resolvConf: () => read('/etc/resolv.conf'),
}

/** @see proc(5), /proc/net/route: numbers are in the byte order of the machine */
export function parseRoutes(text: string): Cidr[] {
  const swap = (hex: string): bigint => BigInt(`0x${hex.match(/../g)?.toReversed().join('') ?? '0'}`)
  return text.split('\n').slice(1).flatMap((line) => {
    const [, destination = '', , , , , , mask = ''] = line.split(/\s+/)
    if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask)) return []
    const prefix = swap(mask).toString(2).replaceAll('0', '').length
    return prefix === 0 ? [] : [cidrOf({ family: 4, value: swap(destination) }, prefix)]
  }) // prettier-ignore
}
