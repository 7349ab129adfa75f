import { createHash } from 'node:crypto'
import { chmodSync, closeSync, mkdirSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isErrno, isKind } from '@berth/core'
import { addressesOf } from './activate-endpoint.ts'
import { parseExtraHost, parseLink } from './check-endpoint.ts'
import { type Context, defaultBridgeOf, hasNames } from './context.ts'
import { dnsAddress } from './dns-server.ts'
import { findContainer } from './find.ts'
import { addHosts, buildHosts, type HostsEntry, removeHosts } from './hosts-file.ts'
import type { ContainerRecord, EndpointRecord } from './network-records.ts'
import { buildEmbeddedResolvConf, buildResolvConf, parseResolvConf, type ResolvConfOptions } from './resolv-conf.ts'

function filesDirOf({ filesDir }: Context, containerId: string): string {
  return join(filesDir, containerId)
}

export function filesOf(ctx: Context, containerId: string): { hosts: string; resolvConf: string } {
  const dir = filesDirOf(ctx, containerId)
  return { hosts: join(dir, 'hosts'), resolvConf: join(dir, 'resolv.conf') }
}

/** In place: the file is bound over the container's, and another file of the name would not be seen there. */
function write(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o644 })
  chmodSync(path, 0o644) // whatever the umask
}

/** Bytes of a file that are still looked into. */
const largestFile = 1 << 20

/** What a container may have written; undefined when it is no such file any more. */
function read(path: string): string | undefined {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(largestFile + 1)
    const size = readSync(fd, bytes, 0, bytes.length, 0)
    return size > largestFile ? undefined : bytes.toString('utf8', 0, size)
  } finally {
    closeSync(fd)
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

function ownNames({ hostname, domainname }: ContainerRecord): string {
  return domainname === '' ? hostname : `${hostname}.${domainname} ${hostname}`
}

/** The lines of an endpoint in its own container's file. */
export function entriesOf(container: ContainerRecord, endpoint: EndpointRecord): HostsEntry[] {
  return container.hostname === '' ? [] : addressesOf(endpoint).map((address) => ({ address, names: ownNames(container) }))
}

function extraEntries(ctx: Context, { host }: ContainerRecord): HostsEntry[] {
  return (host.ExtraHosts ?? []).map((text) => {
    const { name, address } = parseExtraHost(text)
    return { address: address === 'host-gateway' ? (defaultBridgeOf(ctx)?.pools[0]?.gateway ?? '127.0.0.1') : address, names: name }
  })
}

/** Who a container is linked to on the default bridge, and by which name. A link goes with the container that it leads to. */
export function linksOf(ctx: Context, { host }: ContainerRecord): { alias: string; target: ContainerRecord }[] {
  return (host.Links ?? []).flatMap((link) => {
    const { container, alias } = parseLink(link)
    try {
      return [{ alias, target: findContainer(ctx, container) }]
    } catch (error) {
      if (!isKind(error, 'not-found', 'invalid-argument')) throw error
      return []
    }
  })
}

/** The lines by which a container finds one that it is linked to. */
export function linkEntries(ctx: Context, { alias, target }: { alias: string; target: ContainerRecord }): HostsEntry[] {
  const bridge = defaultBridgeOf(ctx)?.id
  const endpoint = target.endpoints.find(({ networkId }) => networkId === bridge)
  const names = [...new Set([alias, target.hostname, target.name])].filter((name) => name !== '').join(' ')
  return endpoint ? addressesOf(endpoint).map((address) => ({ address, names })) : []
}

export function resolverOptions(ctx: Context, { host }: ContainerRecord): ResolvConfOptions {
  const servers = host.Dns?.length ? host.Dns : [...ctx.dnsServers]
  return { host: parseResolvConf(ctx.host.resolvConf()), wanted: { servers, search: host.DnsSearch ?? [], options: host.DnsOptions ?? [] } }
}

/** Whether the embedded name server serves a container. */
function hasEmbeddedDns(ctx: Context, { endpoints }: ContainerRecord): boolean {
  return endpoints.some(({ networkId, active }) => {
    const network = ctx.records.networks.get(networkId)
    return active !== undefined && network !== undefined && hasNames(ctx, network)
  })
}

function resolvConfOf(ctx: Context, container: ContainerRecord): string {
  const options = resolverOptions(ctx, container)
  if (container.mode.kind === 'host' && Object.values(options.wanted).every(({ length }) => length === 0)) return ctx.host.resolvConf()
  return hasEmbeddedDns(ctx, container) ? buildEmbeddedResolvConf(options, dnsAddress) : buildResolvConf(options)
}

function hostsOf(ctx: Context, container: ContainerRecord): string {
  const extra = extraEntries(ctx, container)
  if (container.mode.kind === 'host' && extra.length === 0) return ctx.host.hosts()
  const links = linksOf(ctx, container).flatMap((link) => linkEntries(ctx, link))
  return buildHosts([...extra, ...links, ...container.endpoints.flatMap((endpoint) => entriesOf(container, endpoint))])
}

/** Writes a container's /etc/hosts and /etc/resolv.conf; gives the digest of the latter. */
export function writeFiles(ctx: Context, container: ContainerRecord): string {
  const { hosts, resolvConf } = filesOf(ctx, container.id)
  mkdirSync(filesDirOf(ctx, container.id), { recursive: true, mode: 0o710 })
  const text = resolvConfOf(ctx, container)
  write(hosts, hostsOf(ctx, container))
  write(resolvConf, text)
  return digest(text)
}

/** Changes lines of a running container's /etc/hosts; what the container wrote there stays, and all of it where it has blown the file up. */
export function changeHosts(ctx: Context, containerId: string, { add = [], remove = [] }: { add?: HostsEntry[]; remove?: HostsEntry[] }): void {
  const { hosts } = filesOf(ctx, containerId)
  try {
    const before = read(hosts)
    if (before === undefined) return
    const after = addHosts(removeHosts(before, remove), add)
    if (after !== before) write(hosts, after)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error // taken away by somebody, and made again at the next start
  }
}

/** Writes /etc/resolv.conf for the networks that the container is on now, unless the container has changed it. */
export function refreshResolvConf(ctx: Context, container: ContainerRecord): void {
  const { sandbox } = container
  const { resolvConf } = filesOf(ctx, container.id)
  try {
    const before = read(resolvConf)
    if (!sandbox || before === undefined || digest(before) !== sandbox.resolvConfDigest) return
    const text = resolvConfOf(ctx, container)
    write(resolvConf, text)
    sandbox.resolvConfDigest = digest(text)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
  }
}

export function removeFiles(ctx: Context, containerId: string): void {
  rmSync(filesDirOf(ctx, containerId), { recursive: true, force: true })
}
