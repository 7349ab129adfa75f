import { describe, expect, it } from 'vitest'
import { digestOf, type Descriptor, mediaTypes } from '@berth/oci'
import { walk } from '../src/index.ts'
import { Blobs, listOf, partialIndex, sampleImage } from './fixtures.ts'

describe('a walk', () => {
  it('comes by each blob that is there once, and by what names others after them', async () => {
    const blobs = new Blobs()
    const { descriptor, here } = await partialIndex(blobs)
    const visited = (await listOf(walk(blobs, descriptor))).map(({ digest }) => digest)
    const image = await sampleImage('here')
    const { config, layers } = await image.manifest()
    expect(visited).toEqual([config.digest, ...layers.map(({ digest }) => digest), here.digest, descriptor.digest])
    const twice = blobs.put(mediaTypes.ociIndex, { schemaVersion: 2, manifests: [descriptor, here, descriptor] })
    expect(await listOf(walk(blobs, twice))).toHaveLength(visited.length + 1)
  })

  it('passes over what is not wanted', async () => {
    const blobs = new Blobs()
    const { descriptor, here } = await partialIndex(blobs)
    expect((await listOf(walk(blobs, descriptor, { wants: ({ digest }) => digest !== here.digest }))).map(({ digest }) => digest)).toEqual([descriptor.digest])
  })

  it('does not go down without end', async () => {
    const blobs = new Blobs()
    let inner: Descriptor = await blobs.copy(await sampleImage())
    for (let depth = 0; depth < 20; depth++) inner = blobs.put(mediaTypes.ociIndex, { schemaVersion: 2, manifests: [inner] })
    await expect(listOf(walk(blobs, inner))).rejects.toMatchObject({ kind: 'invalid-argument', code: 'INDEX_TOO_DEEP' })
  })

  it('begins with what is there, and no larger than documents are', async () => {
    const blobs = new Blobs()
    const absent = { mediaType: mediaTypes.ociManifest, digest: digestOf('absent'), size: 6 }
    await expect(listOf(walk(blobs, absent))).rejects.toMatchObject({ kind: 'not-found' })
    const large = blobs.put(mediaTypes.ociManifest, Buffer.alloc((4 << 20) + 1, ' '))
    await expect(listOf(walk(blobs, large))).rejects.toMatchObject({ kind: 'invalid-argument', code: 'DOCUMENT_TOO_LARGE' })
  })
})
