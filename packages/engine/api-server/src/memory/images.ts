import type { DistributionInspect, ImageDeleteResponseItem, ImageInspect, ImageSearchResponseItem, ImageSummary } from '@berth/api-types'
import { BerthError, newId } from '@berth/core'
import type { ImageBackend, ProgressMessage } from '../backend.ts'

const named = (ref: string): string => (/:[^/]+$/.test(ref) ? ref : `${ref}:latest`)

/** Images without content. Any image of the registry `registry.test` can be pulled, but for `registry.test/broken`, which fails midway. */
export class MemoryImages implements ImageBackend {
  readonly #images = new Map<string, { id: string; size: number }>()

  constructor(...names: string[]) {
    for (const name of names) this.add(name)
  }

  has(ref: string): boolean {
    return this.#images.has(named(ref))
  }

  async list(): Promise<ImageSummary[]> {
    const ids = Map.groupBy(this.#images, ([, { id }]) => id)
    return [...ids].map(([Id, entries]) => ({
      Id,
      ParentId: '',
      RepoTags: entries.map(([name]) => name),
      RepoDigests: [],
      Created: 1_700_000_000,
      Size: entries[0]?.[1].size ?? 0,
      SharedSize: -1,
      Labels: {},
      Containers: -1,
    }))
  }

  async inspect(ref: string): Promise<ImageInspect> {
    const { id, size } = this.#get(ref)
    return { Id: id, RepoTags: [named(ref)], Size: size, Os: 'linux', Architecture: 'amd64' }
  }

  async history(ref: string): ReturnType<ImageBackend['history']> {
    const { id, size } = this.#get(ref)
    return [{ Id: id, Created: 1_700_000_000, CreatedBy: 'import', Tags: [named(ref)], Size: size, Comment: '' }]
  }

  async *pull({ image, tag = 'latest' }: { image: string; tag?: string }): AsyncIterable<ProgressMessage> {
    const name = `${image}:${tag}`
    if (!image.startsWith('registry.test/')) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `pull access denied for ${image}, repository does not exist or may require 'docker login'`)
    yield { status: `Pulling from ${image}`, id: tag }
    yield { status: 'Downloading', id: 'aaaaaaaaaaaa', progressDetail: { current: 512, total: 1024 } }
    if (image === 'registry.test/broken') throw new BerthError('data-loss', 'DIGEST_MISMATCH', 'the registry sent other content than its digest says')
    yield { status: 'Pull complete', id: 'aaaaaaaaaaaa' }
    this.add(name)
    yield { status: `Status: Downloaded newer image for ${name}` }
  }

  async *push({ image, tag = 'latest' }: { image: string; tag?: string }): AsyncIterable<ProgressMessage> {
    this.#get(`${image}:${tag}`)
    yield { status: `The push refers to repository [${image}]` }
    yield { status: 'Pushed', id: 'aaaaaaaaaaaa' }
  }

  async *import({ source, repo, tag = 'latest' }: { source: AsyncIterable<Uint8Array>; repo?: string; tag?: string }): AsyncIterable<ProgressMessage> {
    let size = 0
    for await (const chunk of source) size += chunk.length
    const id = this.add(repo ? `${repo}:${tag}` : newId(), size)
    yield { status: id }
  }

  /** Not a tar: the names and sizes as JSON, which {@link load} takes. */
  async save(refs: string[]): Promise<AsyncIterable<Uint8Array>> {
    const saved = refs.map((ref) => ({ name: named(ref), size: this.#get(ref).size }))
    return (async function* () {
      yield Buffer.from(JSON.stringify(saved))
    })()
  }

  async *load(source: AsyncIterable<Uint8Array>): AsyncIterable<ProgressMessage> {
    const chunks: Uint8Array[] = []
    for await (const chunk of source) chunks.push(chunk)
    let images: { name: string; size: number }[]
    try {
      images = JSON.parse(Buffer.concat(chunks).toString()) as typeof images
    } catch {
      throw new BerthError('invalid-argument', 'ARCHIVE_INVALID', 'the archive is not one of images')
    }
    for (const { name, size } of images) {
      this.add(name, size)
      yield { stream: `Loaded image: ${name}\n` }
    }
  }

  /** Finds among the images that are here. */
  async search(term: string): Promise<ImageSearchResponseItem[]> {
    const names = [...this.#images.keys()].map((name) => name.replace(/:[^:]*$/, '')).filter((name) => name.includes(term))
    return names.map((name) => ({ name, description: `all about ${name}`, star_count: 3, is_official: !name.includes('/'), is_automated: false }))
  }

  async distribution(ref: string): Promise<DistributionInspect> {
    const { id, size } = this.#get(ref)
    return { Descriptor: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: id, size }, Platforms: [{ os: 'linux', architecture: 'amd64' }] }
  }

  async tag(ref: string, { repo, tag = 'latest' }: { repo: string; tag?: string }): Promise<void> {
    this.#images.set(`${repo}:${tag}`, this.#get(ref))
  }

  async remove(ref: string): Promise<ImageDeleteResponseItem[]> {
    const { id } = this.#get(ref)
    this.#images.delete(named(ref))
    return [{ Untagged: named(ref) }, ...([...this.#images.values()].some((image) => image.id === id) ? [] : [{ Deleted: id }])]
  }

  async prune(): ReturnType<ImageBackend['prune']> {
    return { ImagesDeleted: [], SpaceReclaimed: 0 }
  }

  add(name: string, size = 1024): string {
    const id = `sha256:${newId()}`
    this.#images.set(named(name), { id, size })
    return id
  }

  #get(ref: string): { id: string; size: number } {
    const image = this.#images.get(named(ref)) ?? [...this.#images.values()].find(({ id }) => id === ref || id.slice(7).startsWith(ref))
    if (!image) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${named(ref)}`)
    return image
  }
}
