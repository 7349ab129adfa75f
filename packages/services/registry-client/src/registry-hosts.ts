import { BerthError } from '@berth/core'
import type { TlsSettings } from './tls-settings.ts'

/** What a host is asked for: content by digest, names to be resolved, content to be taken in. */
export type Capability = 'pull' | 'resolve' | 'push'

/** One place where a registry, or a mirror of it, is reached. */
export interface RegistryHost extends TlsSettings {
  /**
   * `https://mirror.example.com/prefix`. `http:` is spoken where it is written here.
   * The API is taken to be at `/v2` below it, unless it ends so or `overridePath` is set.
   */
  url: string
  /** All, if absent. */
  capabilities?: readonly Capability[] | undefined
  /** Sent to this origin and to no other. */
  headers?: Readonly<Record<string, string>> | undefined
  /** The URL's path is the root of the API as it stands. */
  overridePath?: boolean | undefined
  /** Milliseconds until a connection must be there; else only the answer is waited for. */
  dialTimeout?: number | undefined
}

/** How the images of a domain are reached. */
export interface RegistryHosts {
  /** Asked first, in this order, without the credentials for the domain, and told the domain by the query `ns`. */
  mirrors?: readonly RegistryHost[] | undefined
  /** The registry itself, whose the credentials for the domain are; without a URL `https://<domain>`. */
  server?: Partial<RegistryHost> | undefined
}

/** Says how the images of a domain (`docker.io`, `registry:5000`) are reached; undefined for the usual way. */
export type RegistryHostsOf = (domain: string) => RegistryHosts | undefined | Promise<RegistryHosts | undefined>

/** A host as requests use it. */
export interface Endpoint {
  /** Root of the API, without a slash at its end: `https://registry.example.com/v2`. */
  base: string
  /** Whether the credentials for the domain are for it. */
  isOwn: boolean
  headers: Readonly<Record<string, string>>
  /** Undefined: as everybody's. */
  tls: TlsSettings | undefined
  dialTimeout: number | undefined
  /** The domain, for a host that mirrors several. */
  namespace: string | undefined
}

export function can({ capabilities }: Partial<RegistryHost>, capability: Capability): boolean {
  return capabilities?.includes(capability) ?? true
}

/** @throws `invalid-argument` for what is no plain URL; a user or password in it is not repeated. */
export function toEndpoint(host: RegistryHost, { isOwn, namespace }: Pick<Endpoint, 'isOwn' | 'namespace'>): Endpoint {
  const url = URL.parse(host.url)
  const invalid = (why: string): BerthError => new BerthError('invalid-argument', 'REGISTRY_HOST_INVALID', `invalid registry host: ${why}`)
  if (url?.username || url?.password) throw invalid('username/password not allowed in URI')
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.search || url.hash) throw invalid(`${JSON.stringify(host.url.slice(0, 200))} is not the URL of a registry`)
  const path = url.pathname.replace(/\/+$/, '')
  const base = `${url.origin}${path}${host.overridePath || path.endsWith('/v2') ? '' : '/v2'}`
  return { base, isOwn, namespace, headers: host.headers ?? {}, tls: tlsOf(host), dialTimeout: host.dialTimeout }
}

/** Undefined where a host says nothing about it. */
export function tlsOf({ ca, client, skipVerify }: TlsSettings): TlsSettings | undefined {
  return ca?.length || client?.length || skipVerify !== undefined ? { ca, client, skipVerify } : undefined
}

/** Where an endpoint's origin is meant, as for what lies beside the API. */
export function originOf({ base }: Endpoint): string {
  return new URL(base).origin
}
