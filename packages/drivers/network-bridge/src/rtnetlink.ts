import { isIPv6 } from 'node:net'
import { isErrno } from '@berth/core'
import { netlinkAttribute as attribute, type NetlinkMessage, NetlinkSocket, parseNetlinkAttributes } from '@berth/linux'
import { addressBytes, isSixCidr, parseCidr } from './addresses.ts'
import { bridgeGroup } from './ruleset.ts'

// Message types, flags and attributes: rtnetlink(7), linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h.
const [RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_DELROUTE] = [16, 17, 18, 19, 20, 24, 25]
const [NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE] = [0x100, 0x200, 0x400]
const ifla = { address: 1, name: 3, mtu: 4, master: 10, linkInfo: 18, alias: 20, afSpec: 26, group: 27, netnsFd: 28 } as const
const linkInfo = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const
const VETH_INFO_PEER = 1
const brport = { hairpin: 4, isolated: 33 } as const
const IFLA_INET6_ADDR_GEN_MODE = 8
const IN6_ADDR_GEN_MODE_NONE = 1
const ifa = { address: 1, local: 2, flags: 8 } as const
const IFA_F_NODAD = 2
const rta = { oif: 4, gateway: 5 } as const
const [RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST, RT_SCOPE_UNIVERSE] = [254, 4, 1, 0]
const IFF_UP = 1
const [AF_UNSPEC, AF_INET, AF_INET6] = [0, 2, 10]

export interface Link {
  index: number
  name: string
  alias: string
  mtu: number
}

export interface NewBridge {
  name: string
  alias: string
  macAddress: string
  mtu: number | undefined
}

export interface NewVeth {
  /** Its end on the host. */
  name: string
  alias: string
  bridge: string
  /** Whether it reaches no other such port of the bridge. */
  isIsolated: boolean
  mtu: number | undefined
  peer: { name: string; macAddress: string; netnsFd: number }
}

/** Links, addresses and routes of the network namespace in which it was opened. For worker threads. @see rtnetlink(7) */
export class Rtnetlink implements Disposable {
  readonly #socket = new NetlinkSocket()

  links(): Link[] {
    return this.#socket.dump({ type: RTM_GETLINK, payload: linkHeader() }).map(parseLink)
  }

  link(name: string): Link | undefined {
    try {
      const [answer] = this.#socket.request({ type: RTM_GETLINK, payload: Buffer.concat([linkHeader(), attribute(ifla.name, text(name))]) })
      return answer && parseLink(answer)
    } catch (error) {
      if (isErrno(error, 'ENODEV')) return undefined
      throw error
    }
  }

  /** Created and marked in one call, so that no unmarked link is left by a program that ends between the two. */
  createBridge({ name, alias, macAddress, mtu }: NewBridge): void {
    const create = [attribute(ifla.name, text(name)), attribute(ifla.address, macBytes(macAddress)), attribute(ifla.group, u32(bridgeGroup)), ...mtuAttribute(mtu), attribute(ifla.linkInfo, [attribute(linkInfo.kind, text('bridge'))])]
    this.#socket.request(newLink(create), setLink(name, [attribute(ifla.alias, text(alias)), withoutLinkLocal]), setUp(name))
  }

  createVeth({ name, alias, bridge, isIsolated, mtu, peer }: NewVeth): void {
    const master = this.link(bridge)
    if (!master) throw Object.assign(new Error(`there is no bridge ${bridge}`), { code: 'ENODEV' })
    const inside = [attribute(ifla.name, text(peer.name)), attribute(ifla.address, macBytes(peer.macAddress)), attribute(ifla.netnsFd, u32(peer.netnsFd)), ...mtuAttribute(mtu)]
    const data = attribute(linkInfo.data, [attribute(VETH_INFO_PEER, [linkHeader(), ...inside])])
    const create = [attribute(ifla.name, text(name)), attribute(ifla.master, u32(master.index)), ...mtuAttribute(mtu), attribute(ifla.linkInfo, [attribute(linkInfo.kind, text('veth')), data])]
    // Where bridges call the firewall (br_netfilter), what a container sends to its own published port turns round within the bridge.
    const settings = [attribute(brport.hairpin, Buffer.of(1)), attribute(brport.isolated, Buffer.of(isIsolated ? 1 : 0))]
    const port = attribute(ifla.linkInfo, [attribute(linkInfo.slaveKind, text('bridge')), attribute(linkInfo.slaveData, settings)])
    this.#socket.request(newLink(create), setLink(name, [attribute(ifla.alias, text(alias)), withoutLinkLocal]), changeLink(name, [port]), setUp(name))
  }

  setUp(name: string): void {
    this.#socket.request(setUp(name))
  }

  /** Idempotent. */
  deleteLink(name: string): void {
    try {
      this.#socket.request({ type: RTM_DELLINK, payload: Buffer.concat([linkHeader(), attribute(ifla.name, text(name))]) })
    } catch (error) {
      if (!isErrno(error, 'ENODEV')) throw error
    }
  }

  /** What the link should have, `172.18.0.1/16`; what it has already stays. */
  addAddresses(link: Link, cidrs: readonly string[]): void {
    const messages = cidrs.map((cidr): NetlinkMessage => {
      const { address, prefix } = parseCidr(cidr)
      const header = Buffer.alloc(8)
      header[0] = isSixCidr(cidr) ? AF_INET6 : AF_INET
      header[1] = prefix
      header.writeUInt32LE(link.index, 4)
      // An address that its owner chose needs no search for another that has it, which would hold it back for a second.
      const attributes = [attribute(ifa.local, addressBytes(address)), attribute(ifa.address, addressBytes(address)), attribute(ifa.flags, u32(IFA_F_NODAD))]
      return { type: RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_REPLACE, payload: Buffer.concat([header, ...attributes]) }
    })
    if (messages.length > 0) this.#socket.request(...messages)
  }

  /** Takes the place of another default route. */
  setDefaultRoute(link: Link, gateway: string): void {
    this.#socket.request({ type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, payload: defaultRoute(link, gateway) })
  }

  /** Idempotent. */
  removeDefaultRoute(link: Link, gateway: string): void {
    try {
      this.#socket.request({ type: RTM_DELROUTE, payload: defaultRoute(link, gateway) })
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }
}

/** IPv6's addresses of a link's own are for hosts: a port of a bridge is none. */
const withoutLinkLocal = attribute(ifla.afSpec, [attribute(AF_INET6, [attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.of(IN6_ADDR_GEN_MODE_NONE))])])

function newLink(attributes: readonly Buffer[]): NetlinkMessage {
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, payload: Buffer.concat([linkHeader(), ...attributes]) }
}

function setLink(name: string, attributes: readonly Buffer[]): NetlinkMessage {
  return { type: RTM_SETLINK, payload: Buffer.concat([linkHeader(), attribute(ifla.name, text(name)), ...attributes]) }
}

/** For what belongs to the kind of a link, or of its master. */
function changeLink(name: string, attributes: readonly Buffer[]): NetlinkMessage {
  return { ...setLink(name, attributes), type: RTM_NEWLINK }
}

function setUp(name: string): NetlinkMessage {
  return { type: RTM_SETLINK, payload: Buffer.concat([linkHeader(IFF_UP), attribute(ifla.name, text(name))]) }
}

/** struct ifinfomsg */
function linkHeader(flags = 0): Buffer {
  const header = Buffer.alloc(16)
  header[0] = AF_UNSPEC
  header.writeUInt32LE(flags, 8)
  header.writeUInt32LE(flags, 12)
  return header
}

function parseLink(answer: Buffer): Link {
  const attributes = parseNetlinkAttributes(answer, 16)
  const string = (type: number) => attributes.get(type)?.toString().replace(/\0.*$/s, '') ?? ''
  return { index: answer.readInt32LE(4), name: string(ifla.name), alias: string(ifla.alias), mtu: attributes.get(ifla.mtu)?.readUInt32LE(0) ?? 0 }
}

function defaultRoute(link: Link, gateway: string): Buffer {
  const header = Buffer.alloc(12)
  header[0] = isIPv6(gateway) ? AF_INET6 : AF_INET
  header.set([RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST], 4)
  return Buffer.concat([header, attribute(rta.gateway, addressBytes(gateway)), attribute(rta.oif, u32(link.index))])
}

function mtuAttribute(mtu: number | undefined): Buffer[] {
  return mtu === undefined ? [] : [attribute(ifla.mtu, u32(mtu))]
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`)
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function macBytes(address: string): Buffer {
  return Buffer.from(address.replaceAll(/[:-]/g, ''), 'hex')
}
