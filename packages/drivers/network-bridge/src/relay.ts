import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, isIPv6, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import type { PublishedPort } from '@berth/network-driver'

/** Where a relay sends what it gets. */
export interface RelayTarget {
  address: string
  port: number
}

/** How long a client of a UDP port may be silent before it counts as a new one, in milliseconds; the kernel's own time for a conversation both ways. */
const udpIdle = 120_000
/** More clients than that at once, and the longest silent one makes room. */
const udpClients = 1024

/**
 * Holds a port of the host, so that no other program takes it and one that has it is found, and sends on what the kernel does not: to an IPv4-only
 * container what came by IPv6, and what came to IPv6's loopback address. Throws as Node does (`EADDRINUSE`, `EADDRNOTAVAIL`).
 */
export async function holdPort({ protocol, hostAddress, hostPort }: PublishedPort, target: RelayTarget): Promise<AsyncDisposable> {
  if (protocol === 'tcp') return await relayTcp(hostAddress, hostPort, target)
  if (protocol === 'udp') return await relayUdp(hostAddress, hostPort, target)
  return { [Symbol.asyncDispose]: async () => {} } // Node has no SCTP, and hardly a host listens on it
}

async function relayTcp(host: string, port: number, target: RelayTarget): Promise<AsyncDisposable> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    // A host that routes loopback addresses on all of its interfaces would let its neighbours in.
    if (isLoopback(host) && !isLoopback(client.remoteAddress ?? '')) return client.destroy()
    const upstream = connect({ host: target.address, port: target.port, allowHalfOpen: true, noDelay: true })
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
    }
    // A failure on one side ends the other.
    pipeline(client, upstream, (error) => error && upstream.destroy())
    pipeline(upstream, client, (error) => error && client.destroy())
  })
  server.listen({ host, port, ipv6Only: isIPv6(host) })
  await once(server, 'listening')
  server.on('error', () => {}) // one connection's failure to be accepted
  server.unref()
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}

async function relayUdp(host: string, port: number, target: RelayTarget): Promise<AsyncDisposable> {
  const server = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', ipv6Only: isIPv6(host) })
  const clients = new Map<string, { socket: UdpSocket; idle: NodeJS.Timeout }>()
  const forget = (key: string): void => {
    const client = clients.get(key)
    if (!client) return
    clients.delete(key)
    clearTimeout(client.idle)
    client.socket.close()
  }
  server.on('message', (message, from) => {
    if (isLoopback(host) && !isLoopback(from.address)) return
    const key = `${from.address} ${from.port}`
    let client = clients.get(key)
    if (client) {
      client.idle.refresh()
      clients.delete(key) // and set again: the order is that of the last message
    } else {
      const [oldest] = clients.keys()
      if (clients.size >= udpClients && oldest !== undefined) forget(oldest)
      const socket = createSocket(isIPv6(target.address) ? 'udp6' : 'udp4')
      socket.on('message', (answer) => server.send(answer, from.port, from.address))
      socket.on('error', () => forget(key))
      socket.unref()
      client = { socket, idle: setTimeout(() => forget(key), udpIdle).unref() }
    }
    clients.set(key, client)
    client.socket.send(message, target.port, target.address)
  })
  server.bind({ address: host, port, exclusive: true })
  await once(server, 'listening')
  server.on('error', () => {}) // an answer that could not be delivered
  server.unref()
  return {
    async [Symbol.asyncDispose]() {
      for (const key of clients.keys()) forget(key)
      await new Promise<void>((resolve) => server.close(resolve))
    },
  }
}
