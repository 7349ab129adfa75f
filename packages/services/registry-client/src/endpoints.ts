import { BerthError, isKind } from '@berth/core'
import type { InsecureHosts } from './insecure-hosts.ts'
import { can, type Capability, type Endpoint, type RegistryHost, type RegistryHostsOf, tlsOf, toEndpoint } from './registry-hosts.ts'
import type { Transport } from './transport.ts'

/** How long a mirror that could not be reached is passed over, in milliseconds. */
const ailingTime = 60_000
/** Docker Hub's registry has another host than its name. */
const hubHost = 'registry-1.docker.io'

export interface EndpointsOptions {
  transport: Transport
  insecure: InsecureHosts
  /** Of Docker Hub, where `hosts` says nothing of it. */
  mirrors: readonly string[]
  hosts: RegistryHostsOf | undefined
}

/** Finds out where the images of a domain are reached. */
export class Endpoints {
  readonly #options: EndpointsOptions
  readonly #hubMirrors: readonly Endpoint[]
  /** Registries that may be insecure, and whether they speak HTTPS or HTTP. */
  readonly #known = new Map<string, string>()
  /** Bases of mirrors, and when each is to be asked again. */
  readonly #ailingUntil = new Map<string, number>()

  /** @throws `invalid-argument` for a mirror that is none. */
  constructor(options: EndpointsOptions) {
    this.#options = options
    this.#hubMirrors = options.mirrors.map(mirrorOfHub)
  }

  /** Whom to ask, one after the other: mirrors, then the registry itself. */
  async *of(domain: string, capability: Capability, signal: AbortSignal): AsyncGenerator<Endpoint, void, undefined> {
    const { mirrors = [], server = {} } = (await this.#options.hosts?.(domain)) ?? {}
    const named = mirrors.filter((host) => can(host, capability)).map((host) => toEndpoint(host, { isOwn: isHostOf(host, domain), namespace: isHostOf(host, domain) ? undefined : domain }))
    const hub = domain === 'docker.io' && mirrors.length === 0 && capability !== 'push' ? this.#hubMirrors : []
    for (const endpoint of [...named, ...hub]) if ((this.#ailingUntil.get(endpoint.base) ?? 0) <= Date.now()) yield endpoint
    if (can(server, capability)) yield this.#own(domain, server, signal)
  }

  /** The first of them. */
  async first(domain: string, capability: Capability, signal: AbortSignal): Promise<Endpoint> {
    for await (const endpoint of this.of(domain, capability, signal)) return endpoint
    throw noHost(domain, capability)
  }

  /** The registry itself, whatever it can. */
  async registry(domain: string, signal: AbortSignal): Promise<Endpoint> {
    const { server = {} } = (await this.#options.hosts?.(domain)) ?? {}
    return this.#own(domain, server, signal)
  }

  passOver({ base, isOwn }: Endpoint): void {
    if (!isOwn) this.#ailingUntil.set(base, Date.now() + ailingTime)
  }

  /** By HTTPS; if it may be insecure and does not answer to that, by HTTP. */
  async #own(domain: string, server: Partial<RegistryHost>, signal: AbortSignal): Promise<Endpoint> {
    const url = server.url ?? (await this.#usualOrigin(domain, tlsOf(server) !== undefined, signal))
    return toEndpoint({ ...server, url }, { isOwn: true, namespace: undefined })
  }

  async #usualOrigin(domain: string, hasTls: boolean, signal: AbortSignal): Promise<string> {
    const host = domain === 'docker.io' ? hubHost : domain
    if (hasTls || !this.#options.insecure.has(host)) return `https://${host}`
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
    const response = await this.#options.transport.send(`${origin}/v2/`, { method: 'GET', signal, followRedirects: false })
    response.discard()
  }
}

export function noHost(domain: string, capability: Capability): BerthError {
  return new BerthError('unavailable', 'NO_REGISTRY_HOST', `no host is configured for ${domain} that can ${capability}`)
}

function isHostOf({ url }: RegistryHost, domain: string): boolean {
  return URL.parse(url)?.host === (domain === 'docker.io' ? hubHost : domain)
}

function mirrorOfHub(url: string): Endpoint {
  try {
    return toEndpoint({ url }, { isOwn: false, namespace: undefined })
  } catch (error) {
    throw error instanceof BerthError ? new BerthError('invalid-argument', 'MIRROR_INVALID', error.message.replace('invalid registry host', 'invalid mirror')) : error
  }
}
