import { isIPv6 } from 'node:net'
import { isErrno } from '@berth/core'
import { netlinkAttribute as attribute, NetlinkSocket, parseNetlinkAttributes } from '@berth/linux'
import { addressBytes } from './addresses.ts'

// Message types and attributes: linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h.
const NETLINK_NETFILTER = 12
const [CT_GET, CT_DELETE] = [0x101, 0x102]
const NESTED = 0x8000
const cta = { original: 1, reply: 2, id: 12, zone: 18, filter: 25 } as const
const tuple = { ip: 1, protocol: 2 } as const
const source = { v4: 1, v6: 3 } as const
const protocol = { number: 1, sourcePort: 2 } as const
const CTA_FILTER_REPLY_FLAGS = 2
/** The filter looks at the address, the protocol and the port that answers come from. */
const filterFlags = 1 | 8 | 16
const UDP = 17
const [AF_INET, AF_INET6] = [2, 10]
/** Deletions sent in one call. */
const batch = 64

/** Where datagrams are led to. */
export interface UdpTarget {
  address: string
  port: number
}

/**
 * Makes the kernel forget who talks over UDP to an endpoint: it leads the datagrams of a known conversation to where it began, whatever the rules
 * say since, for as long as they come. Since Linux 5.8 the kernel picks them out. For worker threads.
 */
export function forgetConversations({ address, port }: UdpTarget): void {
  using socket = new NetlinkSocket(NETLINK_NETFILTER)
  const header = Buffer.of(isIPv6(address) ? AF_INET6 : AF_INET, 0, 0, 0)
  const wanted = { address: addressBytes(address), port: Buffer.of(port >> 8, port & 255) }
  const ip = attribute(NESTED | tuple.ip, [attribute(isIPv6(address) ? source.v6 : source.v4, wanted.address)])
  const over = attribute(NESTED | tuple.protocol, [attribute(protocol.number, Buffer.of(UDP)), attribute(protocol.sourcePort, wanted.port)])
  const filter = attribute(NESTED | cta.filter, [attribute(CTA_FILTER_REPLY_FLAGS, Buffer.of(filterFlags, 0, 0, 0))])
  const found = socket.dump({ type: CT_GET, payload: Buffer.concat([header, attribute(NESTED | cta.reply, [ip, over]), filter]) })
  const deletions = found.flatMap((answer) => {
    const attributes = parseNetlinkAttributes(answer, header.length)
    if (!isFrom(attributes.get(cta.reply), wanted)) return [] // an older kernel answers with all there are
    const same = [cta.original, cta.id, cta.zone].flatMap((type) => {
      const value = attributes.get(type)
      return value ? [attribute(type === cta.original ? NESTED | type : type, value)] : []
    })
    return [{ type: CT_DELETE, payload: Buffer.concat([header, ...same]) }]
  })
  for (let at = 0; at < deletions.length; at += batch) {
    try {
      socket.request(...deletions.slice(at, at + batch))
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error // ended by itself meanwhile
    }
  }
}

function isFrom(reply: Buffer | undefined, { address, port }: { address: Buffer; port: Buffer }): boolean {
  const parts = reply && parseNetlinkAttributes(reply)
  const ip = parts?.get(tuple.ip)
  const over = parts?.get(tuple.protocol)
  if (!ip || !over) return false
  const from = parseNetlinkAttributes(ip).get(address.length === 4 ? source.v4 : source.v6)
  const { number, sourcePort } = protocol
  const rest = parseNetlinkAttributes(over)
  return from?.equals(address) === true && rest.get(number)?.[0] === UDP && rest.get(sourcePort)?.equals(port) === true
}
