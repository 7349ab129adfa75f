import { isKind } from '@berth/core'
import type { InsecureHosts } from './insecure-hosts.ts'
import type { Transport } from './transport.ts'

/** Docker Hub's registry has another host than its name. */
const hubHost = 'registry-1.docker.io'

/** Finds out where a registry is reached: by HTTPS; if it may be insecure and does not answer to that, by HTTP. */
export class Endpoints {
  readonly #transport: Transport
  readonly #insecure: InsecureHosts
  readonly #known = new Map<string, string>()

  constructor(transport: Transport, insecure: InsecureHosts) {
    this.#transport = transport
    this.#insecure = insecure
  }

  /** The origin of a registry by its domain in references. */
  async originOf(domain: string, signal: AbortSignal): Promise<string> {
    const host = domain === 'docker.io' ? hubHost : domain
    if (!this.#insecure.has(host)) return `https://${host}`
    const origin = this.#known.get(host) ?? (await this.#probe(host, signal))
    this.#known.set(host, origin)
    return origin
  }

  async #probe(host: string, signal: AbortSignal): Promise<string> {
    try {
      await this.#ask(`https://${host}`, signal)
      return `https://${host}`
    } catch (error) {
      // Who is silent on one is silent on the other.
      if (signal.aborted || isKind(error, 'deadline-exceeded')) throw error
    }
    await this.#ask(`http://${host}`, signal)
    return `http://${host}`
  }

  /** Any answer counts. */
  async #ask(origin: string, signal: AbortSignal): Promise<void> {
    const response = await this.#transport.send(`${origin}/v2/`, { method: 'GET', signal, followRedirects: false })
    response.discard()
  }
}
