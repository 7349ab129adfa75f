import { closeSync } from 'node:fs'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { boundSocket, Nftables, withNetns } from '@berth/linux'
import { type DnsServerAddress, forwardQuery, framed } from './dns-forward.ts'
import { errorResponse, fitForUdp, parseQuery, response, responseCodes } from './dns-message.ts'
import type { DnsNames, NameScope } from './dns-names.ts'

/** Where containers on networks of the user's own find their name server. */
export const dnsAddress = '127.0.0.11'

/** Leads port 53 to where the server listens, so that the port itself stays the container's, which may be a name server too. */
const redirection = (udp: number, tcp: number): string => `
add table ip berth_dns
delete table ip berth_dns
table ip berth_dns {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${dnsAddress} udp dport 53 dnat to ${dnsAddress}:${udp}
    ip daddr ${dnsAddress} tcp dport 53 dnat to ${dnsAddress}:${tcp}
  }
}
`

/** A container could ask more than it can wait for, or connect and say nothing. */
const [largestForwards, largestConnections, idleTimeout] = [256, 64, 10_000]

export interface DnsSandbox extends NameScope {
  id: string
  /** File of the network namespace. */
  netns: string
  /** Who is asked for names that are not ours; none for a sandbox that has no way out. */
  servers: readonly DnsServerAddress[]
}

/** The name server of one sandbox. For worker threads: its sockets are in the sandbox, the thread is not. */
export class DnsServer {
  /** May be replaced while the server runs; its namespace stays. */
  sandbox: DnsSandbox
  readonly #names: DnsNames
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #connections = new Set<Socket>()
  #forwards = 0
  #isClosed = false

  private constructor(sandbox: DnsSandbox, names: DnsNames) {
    this.sandbox = sandbox
    this.#names = names
    this.#udp = createSocket('udp4')
    this.#tcp = createServer((socket) => this.#serve(socket))
    this.#tcp.maxConnections = largestConnections
    this.#udp.on('error', () => {}) // of one datagram, which its asker repeats
    this.#tcp.on('error', () => {})
    this.#udp.on('message', (message, from) => {
      void this.#answer(message, 'udp').then((answer) => {
        if (answer && !this.#isClosed) this.#udp.send(answer, from.port, from.address)
      })
    })
  }

  /** Listens when the promise is fulfilled. */
  static async open(sandbox: DnsSandbox, names: DnsNames): Promise<DnsServer> {
    const [udp, tcp] = withNetns(sandbox.netns, () => {
      const first = boundSocket('udp', dnsAddress, 0)
      try {
        return [first, boundSocket('tcp', dnsAddress, 0)] as const
      } catch (error) {
        closeSync(first)
        throw error
      }
    })
    const server = new DnsServer(sandbox, names)
    try {
      await Promise.all([
        new Promise<void>((resolve, reject) => server.#udp.once('error', reject).bind({ fd: udp }, resolve)),
        new Promise<void>((resolve, reject) => server.#tcp.once('error', reject).listen({ fd: tcp }, resolve)),
      ])
      const rules = redirection(server.#udp.address().port, (server.#tcp.address() as AddressInfo).port)
      withNetns(sandbox.netns, () => {
        using nftables = new Nftables()
        nftables.run(rules)
      })
    } catch (error) {
      server.close()
      throw error
    }
    return server
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#udp.close()
    this.#tcp.close()
    for (const socket of this.#connections) socket.destroy()
  }

  /** Messages of a connection are answered in the order they came. */
  #serve(socket: Socket): void {
    this.#connections.add(socket)
    socket.on('close', () => this.#connections.delete(socket))
    socket.on('error', () => {})
    socket.setTimeout(idleTimeout, () => socket.destroy())
    void this.#converse(socket).catch(() => socket.destroy())
  }

  async #converse(socket: Socket): Promise<void> {
    let received = Buffer.alloc(0)
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0)
        const answer = await this.#answer(received.subarray(2, end), 'tcp')
        if (!answer) return void socket.destroy()
        // Written before the next is read: who does not take the answers would have them all kept here.
        await new Promise((resolve) => socket.write(framed(answer), resolve))
        received = received.subarray(end)
      }
    }
  }

  async #answer(message: Buffer, protocol: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const parsed = parseQuery(message)
    if (!parsed) return undefined
    if ('error' in parsed) return errorResponse(parsed.id, parsed.flags, parsed.error)
    const { query } = parsed
    const data = query.class === 1 ? this.#names.resolve(this.sandbox, query.name, query.type) : undefined
    const answer = data ? response(message, query, responseCodes.noError, data) : await this.#forward(message, parsed.query)
    return protocol === 'udp' ? fitForUdp(answer, message, query) : answer
  }

  async #forward(message: Buffer, query: Parameters<typeof forwardQuery>[1]): Promise<Buffer> {
    const failure = response(message, query, responseCodes.serverFailure)
    const { servers } = this.sandbox
    if (servers.length === 0 || this.#forwards >= largestForwards) return failure
    this.#forwards++
    try {
      return (await forwardQuery(message, query, servers)) ?? failure
    } finally {
      this.#forwards--
    }
  }
}
