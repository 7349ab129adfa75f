import { BlockList, isIP } from 'node:net'

const inner = new BlockList()
for (const network of ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/3']) {
  const [address = '', prefix] = network.split('/')
  inner.addSubnet(address, Number(prefix), 'ipv4')
}
// Those of 6to4 and of local translation hold an address of IPv4, which may be any.
for (const network of ['::/95', '64:ff9b:1::/48', '2002::/16', 'fc00::/7', 'fe80::/10', 'ff00::/8']) {
  const [address = '', prefix] = network.split('/')
  inner.addSubnet(address, Number(prefix), 'ipv6')
}

/** Whether an IP address belongs to the open network: not to this machine, its link, a private network or a group. @see IANA's special-purpose registries */
export function isPublicAddress(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
  const plain = translated(mapped.replace(/%.*$/, ''))
  const family = isIP(plain)
  return family !== 0 && !inner.check(plain, family === 6 ? 'ipv6' : 'ipv4')
}

/** What stands behind an address of NAT64, by which hosts without IPv4 reach others. @see RFC 6052 */
function translated(address: string): string {
  const [, high, low] = /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/i.exec(address) ?? []
  if (low === undefined) return address
  const words = [Number.parseInt(high ?? '0', 16), Number.parseInt(low, 16)]
  return words.flatMap((word) => [word >> 8, word & 255]).join('.')
}

/** Whether a host of a URL says by itself that it is none of the open network: an address that is not, or a name for this machine. */
export function isInnerHost(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '').toLowerCase()
  if (isIP(name)) return !isPublicAddress(name)
  return name === 'localhost' || name.endsWith('.localhost')
}
