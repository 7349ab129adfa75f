import { isIPv6 } from 'node:net'
import type { PortProtocol, PublishedPort } from '@berth/network-driver'
import { isSameAddress, isUnspecified, isSixCidr, networkOf } from './addresses.ts'

/** A network as the rules see it. */
export interface NetworkRules {
  bridge: string
  isInternal: boolean
  isMasqueraded: boolean
  cidrs: readonly string[]
}

/** A published port and where it leads. */
export interface PortRule extends PublishedPort {
  /** The endpoint's, without a prefix length. */
  address: string
}

/** A member of one of the table's sets or maps. */
export interface Element {
  set: string
  element: string
}

/** @see https://www.iana.org/assignments/protocol-numbers: names would need /etc/protocols. */
const protocolNumbers: Record<PortProtocol, number> = { tcp: 6, udp: 17, sctp: 132 }

/**
 * The whole table, as one transaction that takes the place of what is there. Its rules never change: networks and ports are elements of its sets and maps.
 *
 * The family is `inet`: one table, one transaction and one set of bridges for both families. With `isGuarded` nothing is forwarded but what is
 * to do with our networks, as a host that was no router before us must not become one.
 */
export function ruleset(table: string, elements: readonly Element[], { isGuarded }: { isGuarded: boolean }): string {
  return `
add table inet ${table}
delete table inet ${table}
table inet ${table} {
  set bridges { type ifname; }
  set internal { type ifname; }
  set same { type ifname . ifname; }
  set subnets4 { type ifname . ipv4_addr; flags interval; }
  set subnets6 { type ifname . ipv6_addr; flags interval; }
  set masqueraded4 { type ipv4_addr; flags interval; }
  set masqueraded6 { type ipv6_addr; flags interval; }
  map ports4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
  map ports6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
  map ports4any { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map ports6any { type inet_proto . inet_service : ipv6_addr . inet_service; }

  # Bridges route loopback addresses, so that the host's own connections to them can be led to containers. Containers may not make use of that.
  chain raw {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
    iifname @bridges ip saddr 127.0.0.0/8 drop
  }

  # Only the host itself may use what is published on its loopback addresses, whatever a neighbour sends.
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 127.0.0.0/8 return
    fib daddr type local jump published
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip6 daddr ::1 return
    fib daddr type local jump published
  }
  chain published {
    dnat ip to meta l4proto . ip daddr . th dport map @ports4
    dnat ip6 to meta l4proto . ip6 daddr . th dport map @ports6
    dnat ip to meta l4proto . th dport map @ports4any
    dnat ip6 to meta l4proto . th dport map @ports6any
  }

  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname . oifname @same accept
    iifname @internal drop
    oifname @internal drop
    oifname @bridges jump inward
    ${isGuarded ? 'iifname != @bridges oifname != @bridges jump strangers' : ''}
  }
  chain inward {
    ct state established,related accept
    ct status dnat accept
    drop
  }
  ${isGuarded ? `chain ${guardChain} { iifgroup ${bridgeGroup} accept; oifgroup ${bridgeGroup} accept; ct state established,related accept; ct status dnat accept; drop; }` : ''}

  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname @bridges ip saddr 127.0.0.0/8 masquerade
    oifname @internal ct status dnat masquerade
    oifname . ip saddr @subnets4 ct status dnat masquerade
    oifname . ip6 saddr @subnets6 ct status dnat masquerade
    oifname != @bridges ip saddr @masqueraded4 masquerade
    oifname != @bridges ip6 saddr @masqueraded6 masquerade
  }
}
${changeElements('add', table, elements)}`
}

/** The group that bridges of every driver of this kind are in: each guards its own, and lets the others' be. */
export const bridgeGroup = 0xbe27

/** Of a table that was made with `isGuarded`. */
export const guardChain = 'strangers'

export function changeElements(verb: 'add' | 'delete', table: string, elements: readonly Element[]): string {
  return elements.map(({ set, element }) => `${verb} element inet ${table} ${set} { ${verb === 'delete' ? element.replace(/ : .*/, '') : element} }\n`).join('')
}

export function networkElements({ bridge, isInternal, isMasqueraded, cidrs }: NetworkRules): Element[] {
  const link = `"${bridge}"`
  const elements = [
    { set: 'bridges', element: link },
    { set: 'same', element: `${link} . ${link}` },
  ]
  if (isInternal) elements.push({ set: 'internal', element: link })
  for (const cidr of cidrs) {
    const family = isSixCidr(cidr) ? 6 : 4
    elements.push({ set: `subnets${family}`, element: `${link} . ${networkOf(cidr)}` })
    if (isMasqueraded && !isInternal) elements.push({ set: `masqueraded${family}`, element: networkOf(cidr) })
  }
  return elements
}

/** Empty for what the kernel cannot do: from one family to the other, and from IPv6's loopback address. */
export function portElements({ protocol, hostAddress, hostPort, address, containerPort }: PortRule): Element[] {
  const family = isIPv6(hostAddress) ? 6 : 4
  if (isIPv6(address) !== isIPv6(hostAddress) || isSameAddress(hostAddress, '::1')) return []
  const target = `${address} . ${containerPort}`
  const number = protocolNumbers[protocol]
  return isUnspecified(hostAddress)
    ? [{ set: `ports${family}any`, element: `${number} . ${hostPort} : ${target}` }]
    : [{ set: `ports${family}`, element: `${number} . ${hostAddress} . ${hostPort} : ${target}` }]
}
