import type { DistributionInspect, ImageSearchResponseItem } from '@berth/api-types'
import { type Logger, silent } from '@berth/core'
import type { Descriptor, Reference } from '@berth/oci'
import { inspectReference } from './inspect.ts'
import { listReferrers, listRepositories, listTags, type ReferrersOptions } from './lists.ts'
import { logIn } from './log-in.ts'
import { type ProxyOptions } from './proxies.ts'
import { type BlobOptions, pullBlob } from './pull-blob.ts'
import { type PulledManifest, pullManifest } from './pull-manifest.ts'
import { deleteManifest, mountBlob, pushManifest } from './push.ts'
import { hasBlob, pushBlob, type PushBlobOptions, type PushedBlob } from './push-blob.ts'
import type { RegistryAuth } from './registry-auth.ts'
import type { RegistryHostsOf } from './registry-hosts.ts'
import { type RegistryCall, RegistrySession } from './registry-session.ts'
import { search, type SearchOptions } from './search.ts'

export interface RegistryClientOptions extends ProxyOptions {
  /** Hosts (`registry:5000`) and networks (CIDR) that may be spoken to by HTTP, and whose certificates are not checked; loopback always is. */
  insecureRegistries?: readonly string[] | undefined
  /** URLs of registries that are asked before Docker Hub, in their order. */
  mirrors?: readonly string[] | undefined
  /** How a registry is reached: mirrors, path prefixes, authorities, client certificates. See `readCertsDirs`. */
  hosts?: RegistryHostsOf | undefined
  userAgent?: string | undefined
  /** Milliseconds until a registry must have begun to answer; 30 s. */
  answerTimeout?: number | undefined
  /** Milliseconds that a transfer may stand still, and that a document may take; 60 s. */
  idleTimeout?: number | undefined
  /** Milliseconds before the first of up to four retries, each about twice as long as the one before; 200. */
  retryDelay?: number | undefined
  /** Blobs above so many bytes are sent in parts of that size, so that a connection that breaks costs no more; 32 MiB. */
  partSize?: number | undefined
  logger?: Logger | undefined
}

/** Speaks to registries. Errors are `BerthError`s; neither they nor what they are caused by hold a secret. @see OCI distribution specification 1.1 */
export class RegistryClient implements AsyncDisposable {
  readonly #session: RegistrySession
  readonly #partSize: number

  /** @throws `invalid-argument` for a mirror, a proxy or an insecure registry that is none. */
  constructor({
    insecureRegistries = [],
    mirrors = [],
    hosts,
    userAgent = 'berth/0.1.0',
    answerTimeout = 30_000,
    idleTimeout = 60_000,
    retryDelay = 200,
    partSize = 32 << 20,
    logger = silent,
    ...proxies
  }: RegistryClientOptions = {}) {
    this.#session = new RegistrySession({ insecureRegistries, mirrors, hosts, userAgent, answerTimeout, idleTimeout, retryDelay, logger, ...proxies })
    this.#partSize = partSize
  }

  /**
   * A manifest or an index by tag or digest.
   * @throws `data-loss` if its bytes are not those of the digest that was asked for, or that the registry names; `invalid-argument` for a document that is
   *   neither a manifest nor an index, or could be both.
   */
  manifest(reference: Reference, call: RegistryCall): Promise<PulledManifest> {
    return pullManifest(this.#session, reference, call)
  }

  /**
   * A blob's bytes from an offset on. A transfer that breaks is resumed where it broke. The size is checked always, the digest where the blob is
   * read from its beginning, unless `verify` is false; who reads from an offset checks the whole. A blob that its registry lacks is looked for at the
   * descriptor's `urls`.
   * @throws `data-loss` for other bytes than the descriptor's.
   */
  blob(reference: Reference, blob: Descriptor, options: BlobOptions): AsyncGenerator<Uint8Array, void, undefined> {
    return pullBlob(this.#session, reference, blob, options)
  }

  /** The tags of a repository, all pages. */
  tags(reference: Reference, call: RegistryCall): Promise<string[]> {
    return listTags(this.#session, reference, call)
  }

  /** The repositories of a registry, all pages. @throws `permission-denied` or `not-implemented` by those that do not tell. */
  catalog(domain: string, call: RegistryCall): Promise<string[]> {
    return listRepositories(this.#session, domain, call)
  }

  /** What says something about a manifest: signatures, inventories, attestations; also from registries that lack the API for it. */
  referrers(reference: Reference, options: ReferrersOptions): Promise<Descriptor[]> {
    return listReferrers(this.#session, reference, options)
  }

  /** What `docker search` finds: at Docker Hub, or at the registry that the term begins with. */
  search(term: string, options: SearchOptions): Promise<Required<ImageSearchResponseItem>[]> {
    return search(this.#session, term, options)
  }

  /** What a name stands for, and for which platforms, without pulling it. */
  inspect(reference: Reference, call: RegistryCall): Promise<DistributionInspect> {
    return inspectReference(this.#session, reference, call)
  }

  hasBlob(reference: Reference, digest: string, call: RegistryCall): Promise<boolean> {
    return hasBlob(this.#session, reference, digest, call)
  }

  /** Whether the registry took the blob over from another of its repositories. */
  mountBlob(reference: Reference, digest: string, call: RegistryCall & { from: string }): Promise<boolean> {
    return mountBlob(this.#session, reference, digest, call)
  }

  /** Sends a blob; `content` is opened anew where something has to be sent once more. */
  putBlob(reference: Reference, blob: PushedBlob, content: () => AsyncIterable<Uint8Array>, options: PushBlobOptions): Promise<void> {
    return pushBlob(this.#session, reference, blob, content, this.#partSize, options)
  }

  putManifest(reference: Reference, manifest: { bytes: Uint8Array; mediaType: string }, call: RegistryCall): Promise<void> {
    return pushManifest(this.#session, reference, manifest, call)
  }

  /** Deletes a manifest by its digest, or a tag. @throws `not-implemented` by registries that do not. */
  deleteManifest(reference: Reference, call: RegistryCall): Promise<void> {
    return deleteManifest(this.#session, reference, call)
  }

  /**
   * Whether a registry takes these credentials, as `docker login` asks; `serveraddress` names it, Docker Hub if empty.
   * @returns a token to keep in place of the password, if the registry gives one.
   * @throws `unauthenticated` when it does not.
   */
  login(config: RegistryAuth, call: { signal: AbortSignal }): Promise<{ identityToken?: string }> {
    return logIn(this.#session, config, call)
  }

  /** Ends the connections that are kept for later requests. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#session[Symbol.dispose]()
  }
}
