import { closeSync, openSync, writeFileSync } from 'node:fs'
import { isErrno, serveCalls } from '@berth/core'
import { Nftables, withNetns } from '@berth/linux'
import { isSixCidr } from './addresses.ts'
import { forgetConversations, type UdpTarget } from './conntrack.ts'
import { type Link, type NewBridge, type NewVeth, Rtnetlink } from './rtnetlink.ts'

/** What the thread can be asked for. Everything is synchronous, one after the other. */
export interface KernelJobs {
  nft(commands: string): string
  links(): Link[]
  link(name: string): Link | undefined
  createBridge(bridge: NewBridge): void
  /** Gives an existing bridge what it should have. */
  setUpBridge(name: string, cidrs: readonly string[]): void
  deleteLink(name: string): void
  join(endpoint: JoinRequest): void
  setDefaultRoute(route: RouteRequest): void
  forgetConversations(target: UdpTarget): void
  /** Before the thread ends: descriptors of system calls are not closed with it. */
  close(): void
}

export interface JoinRequest {
  veth: Omit<NewVeth, 'peer'>
  sandbox: string
  interfaceName: string
  macAddress: string
  cidrs: readonly string[]
  /** Of the default routes; none where the endpoint has none. */
  gateways: readonly string[]
}

export interface RouteRequest {
  sandbox: string
  interfaceName: string
  gateways: readonly string[]
  isDefaultRoute: boolean
}

/** Opened with the first use, in the namespace of the program. */
let rtnetlink: Rtnetlink | undefined
let nftables: Nftables | undefined
const host = (): Rtnetlink => (rtnetlink ??= new Rtnetlink())

const jobs: KernelJobs = {
  nft: (commands) => (nftables ??= new Nftables()).run(commands),
  links: () => host().links(),
  link: (name) => host().link(name),
  createBridge: (bridge) => host().createBridge(bridge),
  setUpBridge(name, cidrs) {
    const link = host().link(name)
    if (!link) throw Object.assign(new Error(`there is no bridge ${name}`), { code: 'ENODEV' })
    setUpIpv6(name, cidrs.some(isSixCidr))
    sysctl(`net/ipv4/conf/${name}/route_localnet`, '1')
    host().addAddresses(link, cidrs)
    host().setUp(name)
  },
  deleteLink: (name) => host().deleteLink(name),
  join({ veth, sandbox, interfaceName, macAddress, cidrs, gateways }) {
    const netns = openSync(sandbox, 'r')
    try {
      host().createVeth({ ...veth, peer: { name: interfaceName, macAddress, netnsFd: netns } })
    } finally {
      closeSync(netns)
    }
    try {
      inside(sandbox, interfaceName, (there, link) => {
        setUpIpv6(interfaceName, cidrs.some(isSixCidr))
        there.addAddresses(link, cidrs)
        there.setUp(interfaceName)
        for (const gateway of gateways) there.setDefaultRoute(link, gateway)
      })
    } catch (error) {
      host().deleteLink(veth.name)
      throw error
    }
  },
  setDefaultRoute({ sandbox, interfaceName, gateways, isDefaultRoute }) {
    inside(sandbox, interfaceName, (there, link) => {
      for (const gateway of gateways) {
        if (isDefaultRoute) there.setDefaultRoute(link, gateway)
        else there.removeDefaultRoute(link, gateway)
      }
    })
  },
  forgetConversations,
  close() {
    rtnetlink?.[Symbol.dispose]()
    nftables?.[Symbol.dispose]()
    rtnetlink = nftables = undefined
  },
}

function inside(sandbox: string, interfaceName: string, work: (there: Rtnetlink, link: Link) => void): void {
  withNetns(sandbox, () => {
    using there = new Rtnetlink()
    const link = there.link(interfaceName)
    if (!link) throw Object.assign(new Error(`there is no interface ${interfaceName} in ${sandbox}`), { code: 'ENODEV' })
    work(there, link)
  })
}

/** In the namespace in which the thread is. */
function sysctl(name: string, value: string): void {
  writeFileSync(`/proc/sys/${name}`, value)
}

/** An interface without IPv6 addresses gives itself none, and one with takes none from a router that says it is one. */
function setUpIpv6(name: string, isEnabled: boolean): void {
  try {
    sysctl(`net/ipv6/conf/${name}/accept_ra`, '0')
    sysctl(`net/ipv6/conf/${name}/disable_ipv6`, isEnabled ? '0' : '1')
  } catch (error) {
    if (isEnabled || !isErrno(error, 'ENOENT')) throw error // a kernel without IPv6 is fine for who wants none
  }
}

serveCalls(jobs)
