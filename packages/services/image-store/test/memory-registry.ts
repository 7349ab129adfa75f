import { digestOf } from '@berth/oci'
import { BerthError } from '@berth/core'
import type { ImageRegistry } from '../src/image-registry.ts'

/** A registry of maps, by repository path. `intercept` may change what a blob's stream gives. */
export class MemoryRegistry implements ImageRegistry {
  readonly manifests = new Map<string, { mediaType: string; bytes: Uint8Array }>()
  readonly tagged = new Map<string, string>()
  readonly blobs = new Map<string, Uint8Array>()
  readonly reads: string[] = []
  readonly mounts: string[] = []
  intercept: ((digest: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal) => AsyncIterable<Uint8Array>) | undefined

  addBlob(path: string, bytes: Uint8Array): { digest: string; size: number } {
    const digest = digestOf(bytes)
    this.blobs.set(`${path}@${digest}`, bytes)
    return { digest, size: bytes.length }
  }

  addManifest<T extends { mediaType: string }>(path: string, tag: string | undefined, manifest: T): string {
    const bytes = Buffer.from(JSON.stringify(manifest))
    const digest = digestOf(bytes)
    this.manifests.set(`${path}@${digest}`, { mediaType: manifest.mediaType, bytes })
    if (tag !== undefined) this.tagged.set(`${path}:${tag}`, digest)
    return digest
  }

  manifest: ImageRegistry['manifest'] = async ({ path, tag, digest }) => {
    const found = digest ?? this.tagged.get(`${path}:${tag}`) ?? ''
    const manifest = this.manifests.get(`${path}@${found}`)
    if (!manifest) throw new BerthError('not-found', 'MANIFEST_UNKNOWN', `manifest for ${path} not found: manifest unknown: manifest unknown`)
    return { digest: found, ...manifest }
  }

  tags: ImageRegistry['tags'] = async ({ path }) => [...this.tagged.keys()].filter((name) => name.startsWith(`${path}:`)).map((name) => name.slice(path.length + 1))

  blob: ImageRegistry['blob'] = ({ path }, { digest }, { offset, signal }) => {
    this.reads.push(`${digest}+${offset}`)
    const bytes = this.blobs.get(`${path}@${digest}`)
    if (!bytes) throw new BerthError('not-found', 'BLOB_UNKNOWN', 'blob unknown to registry')
    const content = chunksOf(bytes.subarray(offset))
    return this.intercept ? this.intercept(digest, content, signal) : content
  }

  hasBlob: ImageRegistry['hasBlob'] = async ({ path }, digest) => this.blobs.has(`${path}@${digest}`)

  mountBlob: ImageRegistry['mountBlob'] = async ({ path }, digest, { from }) => {
    const bytes = this.blobs.get(`${from}@${digest}`)
    if (bytes) this.blobs.set(`${path}@${digest}`, bytes)
    if (bytes) this.mounts.push(`${from} -> ${path}`)
    return bytes !== undefined
  }

  putBlob: ImageRegistry['putBlob'] = async ({ path }, { digest }, content) => {
    const bytes = Buffer.concat(await Array.fromAsync(content()))
    if (digestOf(bytes) !== digest) throw new Error('digest invalid')
    this.blobs.set(`${path}@${digest}`, bytes)
  }

  putManifest: ImageRegistry['putManifest'] = async ({ path, tag }, { bytes, mediaType }) => {
    const digest = digestOf(bytes)
    this.manifests.set(`${path}@${digest}`, { mediaType, bytes })
    if (tag) this.tagged.set(`${path}:${tag}`, digest)
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let start = 0; start < bytes.length; start += 64 * 1024) yield bytes.subarray(start, start + 64 * 1024)
}
