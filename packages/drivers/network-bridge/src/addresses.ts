import { isIP, isIPv6 } from 'node:net'
import { BerthError } from '@berth/core'

/** Of either family, and without a zone: what can stand in a rule. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%')
}

/** Splits `172.18.0.2/16`. Throws `invalid-argument` for what is no address with a prefix length. */
export function parseCidr(cidr: string): { address: string; prefix: number } {
  const [address = '', length = '', ...more] = cidr.split('/')
  const family = isIP(address)
  const prefix = Number(length)
  if (!isAddress(address) || more.length > 0 || !/^\d{1,3}$/.test(length) || prefix > (family === 4 ? 32 : 128)) {
    throw new BerthError('invalid-argument', 'CIDR_INVALID', `invalid CIDR address: ${cidr}`)
  }
  return { address, prefix }
}

export function isSixCidr(cidr: string): boolean {
  return isIPv6(parseCidr(cidr).address)
}

/** The address in network byte order: 4 or 16 bytes. */
export function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number))
  // A last part in IPv4's notation stands for two groups.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => `${((Number(a) << 8) | Number(b)).toString(16)}:${((Number(c) << 8) | Number(d)).toString(16)}`)
  const [head = '', tail] = plain.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const [before, after] = [groups(head), groups(tail ?? '')]
  const all = tail === undefined ? before : [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

/** The network of an address, `172.18.0.2/16` to `172.18.0.0/16`, as nftables wants intervals. */
export function networkOf(cidr: string): string {
  const { address, prefix } = parseCidr(cidr)
  const bytes = addressBytes(address)
  for (const index of bytes.keys()) bytes[index]! &= 0xff00 >> Math.min(Math.max(prefix - index * 8, 0), 8)
  if (bytes.length === 4) return `${bytes.join('.')}/${prefix}`
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return `${groups.join(':')}/${prefix}`
}

/** One notation for each address, so that two can be compared. */
export function isSameAddress(one: string, other: string): boolean {
  return addressBytes(one).equals(addressBytes(other))
}

export function isUnspecified(address: string): boolean {
  return addressBytes(address).every((byte) => byte === 0)
}
