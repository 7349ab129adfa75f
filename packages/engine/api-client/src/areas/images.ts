import type { AuthConfig, CreateImageInfo, HistoryResponseItem, ImageDeleteResponseItem, ImageInspect, ImagePruneResponse, ImageSummary, PushImageInfo } from '@berth/api-types'
import { encodeFilters, type Filters } from '../filters.ts'
import { progress } from '../json-lines.ts'
import type { RequestOptions, Transport } from '../transport.ts'

export interface ListImagesOptions extends RequestOptions {
  all?: boolean
  digests?: boolean
  filters?: Filters
}

export interface TransferOptions extends RequestOptions {
  /** A tag or a digest; `latest` when absent. */
  tag?: string
  /** `linux/arm64`. */
  platform?: string
  auth?: AuthConfig
}

export interface ImportOptions extends RequestOptions {
  repo?: string
  tag?: string
  message?: string
  /** Dockerfile instructions for the image's config: `CMD ["sh"]`. */
  changes?: readonly string[]
  platform?: string
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

  async list({ all, digests, filters, signal }: ListImagesOptions = {}): Promise<ImageSummary[]> {
    return this.#transport.json('GET', '/images/json', { query: { all, digests, filters: encodeFilters(filters) }, signal })
  }

  async inspect(ref: string, options: RequestOptions = {}): Promise<ImageInspect> {
    return this.#transport.json('GET', `/images/${encode(ref)}/json`, options)
  }

  async history(ref: string, options: RequestOptions = {}): Promise<HistoryResponseItem[]> {
    return this.#transport.json('GET', `/images/${encode(ref)}/history`, options)
  }

  /** Runs as its messages are read; throws what the engine tells of in between. `image` is without tag. */
  pull(image: string, { tag = 'latest', platform, auth, signal }: TransferOptions = {}): AsyncIterable<CreateImageInfo> {
    return progress(this.#transport.stream('POST', '/images/create', { query: { fromImage: image, tag, platform }, headers: authHeader(auth), signal }))
  }

  /** As {@link pull}. Without a tag, every tag of the name goes. */
  push(image: string, { tag, platform, auth = {}, signal }: TransferOptions = {}): AsyncIterable<PushImageInfo> {
    return progress(this.#transport.stream('POST', `/images/${encode(image)}/push`, { query: { tag, platform }, headers: authHeader(auth), signal }))
  }

  /** Makes an image of a file system's tar archive; the last message's status is the image's ID. */
  import(archive: AsyncIterable<Uint8Array>, { repo, tag, message, changes, platform, signal }: ImportOptions = {}): AsyncIterable<CreateImageInfo> {
    const query = { fromSrc: '-', repo, tag, message, changes: changes ?? [], platform }
    return progress(this.#transport.stream('POST', '/images/create', { query, body: archive, headers: { 'Content-Type': 'application/x-tar' }, signal }))
  }

  async tag(ref: string, target: { repo: string; tag?: string }, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', `/images/${encode(ref)}/tag`, { query: target, ...options })
  }

  /** Throws `conflict` when a container uses it or, by ID, several names do; `force` overrides both. */
  async remove(ref: string, { force, noPrune, signal }: RequestOptions & { force?: boolean; noPrune?: boolean } = {}): Promise<ImageDeleteResponseItem[]> {
    return this.#transport.json('DELETE', `/images/${encode(ref)}`, { query: { force, noprune: noPrune }, signal })
  }

  /** Untagged images; with the filter `dangling=false` all that no container uses. */
  async prune({ filters, ...options }: RequestOptions & { filters?: Filters } = {}): Promise<ImagePruneResponse> {
    return this.#transport.json('POST', '/images/prune', { query: { filters: encodeFilters(filters) }, ...options })
  }
}
