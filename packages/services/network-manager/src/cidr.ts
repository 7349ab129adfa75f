import { isIPv4, isIPv6 } from 'node:net'

/** An IP address as a number. */
export interface Address {
  family: 4 | 6
  value: bigint
}

/** A range of addresses with a common prefix. */
export interface Cidr {
  family: 4 | 6
  /** The address that was written, which may be one inside. */
  address: bigint
  /** The first address of the range. */
  first: bigint
  last: bigint
  prefix: number
}

const bitsOf = { 4: 32, 6: 128 } as const

/** Undefined for what is not an address of IPv4 or IPv6; zones are not taken. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { family: 4, value: text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n) }
  if (!isIPv6(text) || text.includes('%')) return undefined
  const [head = '', tail] = text.split('::')
  const groups = (part: string | undefined): bigint[] =>
    (part ? part.split(':') : []).flatMap((group) => {
      if (!group.includes('.')) return [BigInt(`0x${group}`)]
      const { value } = parseAddress(group) as Address
      return [value >> 16n, value & 0xffffn]
    })
  const [before, after] = [groups(head), groups(tail)]
  const all = tail === undefined ? before : [...before, ...Array<bigint>(8 - before.length - after.length).fill(0n), ...after]
  return { family: 6, value: all.reduce((value, group) => (value << 16n) | group, 0n) }
}

/** As RFC 5952 recommends for IPv6. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16))
  let [start, length] = [-1, 1]
  for (let at = 0; at < 8; at++) {
    let end = at
    while (groups[end] === '0') end++
    if (end - at > length) [start, length] = [at, end - at]
  }
  return start < 0 ? groups.join(':') : `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

/** Undefined for what is not in CIDR notation. */
export function parseCidr(text: string): Cidr | undefined {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? []
  const parsed = parseAddress(address)
  if (!parsed || Number(length) > bitsOf[parsed.family]) return undefined
  return cidrOf(parsed, Number(length))
}

/** The range of a given size that an address is in. */
export function cidrOf({ family, value }: Address, prefix: number): Cidr {
  const size = 1n << BigInt(bitsOf[family] - prefix)
  const first = value - (value % size)
  return { family, address: value, first, last: first + size - 1n, prefix }
}

/** The range, whichever of its addresses was written. */
export function formatCidr({ family, first, prefix }: Cidr): string {
  return `${formatAddress({ family, value: first })}/${prefix}`
}

export function contains(range: Cidr, { family, value }: Address): boolean {
  return range.family === family && value >= range.first && value <= range.last
}

export function overlaps(one: Cidr, other: Cidr): boolean {
  return one.family === other.family && one.first <= other.last && other.first <= one.last
}
