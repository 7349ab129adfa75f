import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { isSameHostPort, type PortRequest, type PublishedPort } from '@berth/network-driver'
import type { PortRule } from './ruleset.ts'
import { holdPort } from './relay.ts'

/** A port of the host that is ours until it is disposed. */
export interface HeldPort extends AsyncDisposable {
  readonly port: PublishedPort
}

/** Ports that a range is searched for before it counts as full: another program may have any number of them. */
const attempts = 100

/** The ports of the host that are published, each held by a socket. */
export class HostPorts {
  readonly #held = new Set<PublishedPort>()
  /** Where the search for any free port goes on, as a port just given up may still be known to clients. */
  #next = 0

  /**
   * Holds one port, of the range that all of the requests name, on each of their addresses. `addressOf` says where a request leads.
   * Throws `conflict`, with Docker's words, when it is taken.
   */
  async hold(requests: readonly PortRequest[], addressOf: (request: PortRequest) => string): Promise<HeldPort[]> {
    const range = requests[0]?.hostPorts
    let failure: unknown
    for (const hostPort of range ? portsOf(range) : this.#anyPort()) {
      try {
        return await this.#holdAll(requests.map(({ hostPorts: _, ...request }) => ({ ...request, hostPort, address: addressOf(request as PortRequest) })))
      } catch (error) {
        if (!(error instanceof BerthError) || error.kind !== 'conflict') throw error
        if (range && range.first === range.last) throw error
        failure = error
      }
    }
    throw new BerthError('conflict', 'PORTS_EXHAUSTED', 'all ports are allocated', { cause: failure })
  }

  /** Holds ports that are published already; as many as another program has left. */
  async holdAgain(rules: readonly PortRule[], onFailure: (error: unknown) => void): Promise<HeldPort[]> {
    const held: HeldPort[] = []
    for (const rule of rules) {
      try {
        held.push(await this.#holdOne(rule))
      } catch (error) {
        onFailure(error)
      }
    }
    return held
  }

  async #holdAll(rules: readonly PortRule[]): Promise<HeldPort[]> {
    const held: HeldPort[] = []
    try {
      for (const rule of rules) held.push(await this.#holdOne(rule))
      return held
    } catch (error) {
      for (const port of held) await port[Symbol.asyncDispose]()
      throw error
    }
  }

  async #holdOne({ address, ...port }: PortRule): Promise<HeldPort> {
    const { protocol, hostAddress, hostPort, containerPort } = port
    for (const other of this.#held) {
      if (isSameHostPort(port, other)) throw new BerthError('conflict', 'PORT_ALLOCATED', `Bind for ${hostAddress}:${hostPort} failed: port is already allocated`)
    }
    this.#held.add(port)
    try {
      const socket = await holdPort(port, { address, port: containerPort })
      return {
        port,
        [Symbol.asyncDispose]: async () => {
          await socket[Symbol.asyncDispose]()
          this.#held.delete(port)
        },
      }
    } catch (cause) {
      this.#held.delete(port)
      const what = `failed to bind host port for ${bracketed(hostAddress)}:${hostPort}:${bracketed(address)}:${containerPort}/${protocol}`
      if (isErrno(cause, 'EADDRINUSE')) throw new BerthError('conflict', 'PORT_IN_USE', `${what}: address already in use`, { cause })
      if (isErrno(cause, 'EADDRNOTAVAIL')) throw new BerthError('invalid-argument', 'PORT_ADDRESS_UNAVAILABLE', `${what}: cannot assign requested address`, { cause })
      throw new BerthError('internal', 'PORT_BIND_FAILED', `${what}: ${messageOf(cause)}`, { cause })
    }
  }

  *#anyPort(): Generator<number> {
    const [first = 32768, last = 60999] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number)
    for (let tries = 0; tries < attempts; tries++) {
      const port = this.#next >= first && this.#next <= last ? this.#next : first
      this.#next = port + 1
      yield port
    }
  }
}

function* portsOf({ first, last }: { first: number; last: number }): Generator<number> {
  for (let port = first; port <= last; port++) yield port
}

function bracketed(address: string): string {
  return isIPv6(address) ? `[${address}]` : address
}
