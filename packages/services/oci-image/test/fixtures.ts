import { createHash } from 'node:crypto'
import { BerthError } from '@berth/core'
import { type TarMember, tarOf } from '@berth/layer-tar'
import { digestOf, type Descriptor, mediaTypes, type Platform } from '@berth/oci'
import { type ArchiveFiles, type BlobReader, type Image, imageOf, layerFromTar } from '../src/index.ts'

/** An image of two layers, gzip'd and plain, whose content depends on `seed` in the upper one only. */
export async function sampleImage(seed = 'seed', platform: Platform = { os: 'linux', architecture: 'amd64' }): Promise<Image> {
  const lower = await layerFromTar(tarOf([{ name: 'etc/' }, { name: 'etc/motd', content: 'hello' }]))
  const upper = await layerFromTar(tarOf([{ name: 'etc/seed', content: seed }]), { compression: 'none' })
  return imageOf({
    config: { ...platform, created: '2024-01-01T00:00:00Z', config: { Cmd: ['/bin/sh'], Labels: { seed } }, history: [{ created_by: 'lower' }, { created_by: 'upper' }] },
    layers: [lower, upper],
  })
}

/** Blobs in memory. */
export class Blobs implements BlobReader {
  readonly map = new Map<string, Uint8Array>()

  /** Stores bytes and describes them. */
  put(mediaType: string, value: unknown, more: Partial<Descriptor> = {}): Descriptor {
    const bytes = value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value))
    const digest = digestOf(bytes)
    this.map.set(digest, bytes)
    return { mediaType, digest, size: bytes.length, ...more }
  }

  async copy(image: Image, more: Partial<Descriptor> = {}): Promise<Descriptor> {
    const { config, layers } = await image.manifest()
    for (const blob of [image.descriptor, config, ...layers]) this.map.set(blob.digest, await bytesOf(image.blob(blob)))
    return { ...image.descriptor, ...more }
  }

  async *blob(descriptor: Descriptor) {
    const bytes = this.map.get(descriptor.digest)
    if (!bytes) throw new BerthError('not-found', 'BLOB_NOT_FOUND', descriptor.digest)
    yield bytes
  }

  async has({ digest }: Descriptor) {
    return this.map.has(digest)
  }
}

/** An index of two platforms with an attestation, of which the second platform's blobs and the attestation's layer are not there. */
export async function partialIndex(blobs: Blobs): Promise<{ descriptor: Descriptor; here: Descriptor; elsewhere: Descriptor; attestation: Descriptor }> {
  const here = await blobs.copy(await sampleImage('here'), { platform: { os: 'linux', architecture: 'amd64' } })
  const elsewhere = { ...(await sampleImage('elsewhere', { os: 'linux', architecture: 's390x' })).descriptor, platform: { os: 'linux', architecture: 's390x' } }
  const attestation: Descriptor = {
    mediaType: mediaTypes.ociManifest, digest: digestOf('attestation'), size: 11, platform: { os: 'unknown', architecture: 'unknown' },
    annotations: { 'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': here.digest },
  }
  const descriptor = blobs.put(mediaTypes.ociIndex, { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [elsewhere, here, attestation] })
  return { descriptor, here, elsewhere, attestation }
}

export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

export async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Files in memory. */
export function memoryFiles(files: Record<string, Uint8Array | string | object>): ArchiveFiles {
  const bytes = new Map(Object.entries(files).map(([name, value]) => [name, value instanceof Uint8Array ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))]))
  return {
    size: async (name) => bytes.get(name)?.length,
    async *read(name) {
      yield bytes.get(name)!
    },
  }
}

/** A docker-archive as Docker before 25 writes it: a directory a layer, plain tars. */
export function legacyArchive({ tags = ['demo:latest'], layers = [layerTar('one'), layerTar('two')] }: { tags?: string[] | null; layers?: Buffer[] } = {}) {
  const config = Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: layers.map((layer) => digestOf(layer)) } }))
  const id = createHash('sha256').update(config).digest('hex')
  const members: TarMember[] = layers.flatMap((layer, index) => [{ name: `layer${index}/` }, { name: `layer${index}/VERSION`, content: '1.0' }, { name: `layer${index}/layer.tar`, content: layer }])
  const manifest = [{ Config: `${id}.json`, RepoTags: tags, Layers: layers.map((_, index) => `layer${index}/layer.tar`) }]
  return { id: `sha256:${id}`, config, configName: `${id}.json`, manifest, members, layers }
}

export function layerTar(content: string): Buffer {
  return tarOf([{ name: content, content }])
}
