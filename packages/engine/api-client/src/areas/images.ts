import type { AuthConfig, CreateImageInfo, DistributionInspect, HistoryResponseItem, ImageDeleteResponseItem, ImageInspect, ImagePruneResponse, ImageSearchResponseItem, ImageSummary, PushImageInfo } from '@berth/api-types'
import { encodeFilters, type Filters } from '../filters.ts'
import { progress } from '../json-lines.ts'
import { encodePlatform, encodePlatforms } from '../platforms.ts'
import type { RequestOptions, Transport } from '../transport.ts'

export interface ListImagesOptions extends RequestOptions {
  all?: boolean
  digests?: boolean
  /** With the platforms that each has, in `Manifests`. */
  manifests?: boolean
  filters?: Filters
}

export interface TransferOptions extends RequestOptions {
  /** A tag or a digest; `latest` when absent. */
  tag?: string
  /** `linux/arm64`. */
  platform?: string
  auth?: AuthConfig
}

export interface PullOptions extends TransferOptions {
  /** Every tag of the name, whatever `tag` says. */
  allTags?: boolean | undefined
}

export interface ImportOptions extends RequestOptions {
  repo?: string
  tag?: string
  message?: string
  /** Dockerfile instructions for the image's config: `CMD ["sh"]`. */
  changes?: readonly string[]
  platform?: string
}

/** Which platforms of an image are meant, `linux/arm64`; all that are there when absent. */
export interface PlatformsOptions extends RequestOptions {
  platforms?: readonly string[]
}

export interface LoadOptions extends PlatformsOptions {
  /** Only what was loaded, without how far it is. */
  quiet?: boolean
}

/** A line of a load's progress. */
export type LoadMessage = CreateImageInfo & { stream?: string }

export interface SearchOptions extends RequestOptions {
  /** At most so many; the engine's own number when absent. */
  limit?: number
  /** `is-official`, `is-automated`, `stars`. */
  filters?: Filters
  auth?: AuthConfig
}

/** A name with slashes stays several parts of the path. */
const encode = (ref: string): string => ref.split('/').map(encodeURIComponent).join('/')

const authHeader = (auth: AuthConfig | undefined): Record<string, string> => (auth ? { 'X-Registry-Auth': Buffer.from(JSON.stringify(auth)).toString('base64url') } : {})

/** Images, by name, digest or ID. */
export class ImagesArea {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  async list({ all, digests, manifests, filters, signal }: ListImagesOptions = {}): Promise<ImageSummary[]> {
    return this.#transport.json('GET', '/images/json', { query: { all, digests, manifests, filters: encodeFilters(filters) }, signal })
  }

  /** `platform` and `manifests` exclude each other. */
  async inspect(ref: string, { platform, manifests, signal }: RequestOptions & { platform?: string; manifests?: boolean } = {}): Promise<ImageInspect> {
    return this.#transport.json('GET', `/images/${encode(ref)}/json`, { query: { platform: encodePlatform(platform), manifests }, signal })
  }

  async history(ref: string, { platform, signal }: RequestOptions & { platform?: string } = {}): Promise<HistoryResponseItem[]> {
    return this.#transport.json('GET', `/images/${encode(ref)}/history`, { query: { platform: encodePlatform(platform) }, signal })
  }

  /** Runs as its messages are read; throws what the engine tells of in between. `image` is without tag. */
  pull(image: string, { allTags = false, tag = 'latest', platform, auth, signal }: PullOptions = {}): AsyncIterable<CreateImageInfo> {
    return progress(this.#transport.stream('POST', '/images/create', { query: { fromImage: image, tag: allTags ? undefined : tag, platform }, headers: authHeader(auth), signal }))
  }

  /** As {@link pull}. Without a tag, every tag of the name goes. */
  push(image: string, { tag, platform, auth = {}, signal }: TransferOptions = {}): AsyncIterable<PushImageInfo> {
    return progress(this.#transport.stream('POST', `/images/${encode(image)}/push`, { query: { tag, platform: encodePlatform(platform) }, headers: authHeader(auth), signal }))
  }

  /** Makes an image of a file system's tar archive; the last message's status is the image's ID. */
  import(archive: AsyncIterable<Uint8Array>, { repo, tag, message, changes, platform, signal }: ImportOptions = {}): AsyncIterable<CreateImageInfo> {
    const query = { fromSrc: '-', repo, tag, message, changes: changes ?? [], platform }
    return progress(this.#transport.stream('POST', '/images/create', { query, body: archive, headers: { 'Content-Type': 'application/x-tar' }, signal }))
  }

  /** Images as one tar archive, which {@link load} and `docker load` take. Throws `data-loss` when the engine cannot send all of it. */
  save(refs: readonly string[], { platforms, signal }: PlatformsOptions = {}): AsyncIterable<Uint8Array> {
    return this.#transport.stream('GET', '/images/get', { query: { names: refs, platform: encodePlatforms(platforms) }, signal })
  }

  /** Takes in what {@link save} gives, and what other tools write: docker-archives and OCI layouts. Runs as its messages are read. */
  load(archive: AsyncIterable<Uint8Array>, { platforms, quiet = false, signal }: LoadOptions = {}): AsyncIterable<LoadMessage> {
    const query = { quiet, platform: encodePlatforms(platforms) }
    return progress(this.#transport.stream('POST', '/images/load', { query, body: archive, headers: { 'Content-Type': 'application/x-tar' }, signal }))
  }

  /** Asks the index of a registry, Docker Hub's unless the term names another: `registry.example/term`. */
  async search(term: string, { limit, filters, auth, signal }: SearchOptions = {}): Promise<ImageSearchResponseItem[]> {
    return this.#transport.json('GET', '/images/search', { query: { term, limit, filters: encodeFilters(filters) }, headers: authHeader(auth), signal })
  }

  /** What a registry has by that name, without pulling it. */
  async distribution(ref: string, { auth, signal }: RequestOptions & { auth?: AuthConfig } = {}): Promise<DistributionInspect> {
    return this.#transport.json('GET', `/distribution/${encode(ref)}/json`, { headers: authHeader(auth), signal })
  }

  async tag(ref: string, target: { repo: string; tag?: string }, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', `/images/${encode(ref)}/tag`, { query: target, ...options })
  }

  /** Throws `conflict` when a container uses it or, by ID, several names do; `force` overrides both. */
  async remove(ref: string, { force, noPrune, platforms, signal }: PlatformsOptions & { force?: boolean; noPrune?: boolean } = {}): Promise<ImageDeleteResponseItem[]> {
    return this.#transport.json('DELETE', `/images/${encode(ref)}`, { query: { force, noprune: noPrune, platforms: encodePlatforms(platforms) }, signal })
  }

  /** Untagged images; with the filter `dangling=false` all that no container uses. */
  async prune({ filters, ...options }: RequestOptions & { filters?: Filters } = {}): Promise<ImagePruneResponse> {
    return this.#transport.json('POST', '/images/prune', { query: { filters: encodeFilters(filters) }, ...options })
  }
}
