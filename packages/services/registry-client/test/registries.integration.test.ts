import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Descriptor, digestOf, mediaTypes, parseReference } from '@berth/oci'
import { startRegistry } from '@berth/registry'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RegistryClient } from '../src/index.ts'
import { DebianRegistry, debianRegistryPath } from './debian-registry.ts'

const call = { signal: new AbortController().signal }

interface StartedRegistry extends AsyncDisposable {
  address: string
}

async function ownRegistry(): Promise<StartedRegistry> {
  const root = await mkdtemp(join(tmpdir(), 'berth-registry-'))
  const registry = await startRegistry({ root })
  return {
    address: registry.address,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]()
      await rm(root, { recursive: true })
    },
  }
}

const registries = [
  { name: 'our registry', isHere: true, start: ownRegistry },
  { name: 'Debian package docker-registry', isHere: debianRegistryPath !== undefined, start: (): Promise<StartedRegistry> => DebianRegistry.start() },
]

describe.for(registries)('$name', ({ isHere, start }) => {
  describe.skipIf(!isHere)('with the client', () => {
    let registry: StartedRegistry
    let client: RegistryClient

    beforeEach(async () => {
      registry = await start()
      client = new RegistryClient()
    })
    afterEach(async () => {
      await client[Symbol.asyncDispose]()
      await registry[Symbol.asyncDispose]()
    })

    const reference = (name: string) => parseReference(`${registry.address}/${name}`)
    const put = async (name: string, content: Buffer, mediaType: string = mediaTypes.ociLayer): Promise<Descriptor> => {
      const blob = { mediaType, digest: digestOf(content), size: content.length }
      await client.putBlob(reference(name), blob, async function* () {
        yield content.subarray(0, 10)
        yield content.subarray(10)
      }, call)
      return blob
    }
    const putImage = async (name: string, layer: Buffer, types: 'oci' | 'docker' = 'oci') => {
      const config = await put(name, Buffer.from('{"architecture":"amd64"}'), types === 'oci' ? mediaTypes.ociConfig : mediaTypes.dockerConfig)
      const mediaType = types === 'oci' ? mediaTypes.ociManifest : mediaTypes.dockerManifest
      const layers = [await put(name, layer, types === 'oci' ? mediaTypes.ociLayerGzip : mediaTypes.dockerLayerGzip)]
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }))
      await client.putManifest(reference(name), { bytes, mediaType }, call)
      return { bytes, mediaType, digest: digestOf(bytes), layer: layers[0]! }
    }
    const read = async (name: string, blob: Descriptor, offset = 0) => Buffer.concat(await Array.fromAsync(client.blob(reference(name), blob, { ...call, offset })))

    it.each(['oci', 'docker'] as const)('pushes and pulls manifests of %s by tag and digest', async (types) => {
      const { bytes, digest, mediaType } = await putImage('team/app:v1', randomBytes(1000), types)
      for (const name of ['team/app:v1', `team/app@${digest}`]) expect(await client.manifest(reference(name), call)).toEqual({ bytes, digest, mediaType })
    })

    it('pushes and pulls indexes', async () => {
      const { digest, bytes, mediaType } = await putImage('app:v1', randomBytes(10))
      const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [{ mediaType, digest, size: bytes.length }] }))
      await client.putManifest(reference('app:all'), { bytes: index, mediaType: mediaTypes.ociIndex }, call)
      expect(await client.manifest(reference('app:all'), call)).toEqual({ bytes: index, digest: digestOf(index), mediaType: mediaTypes.ociIndex })
    })

    it('pulls blobs whole and from an offset on', async () => {
      const layer = randomBytes(3_000_000)
      const blob = await put('app', layer)
      expect(await read('app', blob)).toEqual(layer)
      expect(await read('app', blob, 2_999_000)).toEqual(layer.subarray(2_999_000))
      expect(await read('app', blob, layer.length)).toHaveLength(0)
    })

    it('finds blobs, and has them taken over', async () => {
      const blob = await put('first', Buffer.from('content of a layer'))
      expect(await client.hasBlob(reference('first'), blob.digest, call)).toBe(true)
      expect(await client.hasBlob(reference('second'), blob.digest, call)).toBe(false)
      expect(await client.mountBlob(reference('second'), blob.digest, { ...call, from: 'nowhere' })).toBe(false)
      expect(await client.mountBlob(reference('second'), blob.digest, { ...call, from: 'first' })).toBe(true)
      expect((await read('second', blob)).toString()).toBe('content of a layer')
    })

    it('tells how far an upload is', async () => {
      const content = randomBytes(1_000_000)
      const seen: number[] = []
      const chunks = async function* () {
        for (let start = 0; start < content.length; start += 250_000) yield content.subarray(start, start + 250_000)
      }
      await client.putBlob(reference('app'), { digest: digestOf(content), size: content.length }, chunks, { ...call, onProgress: (bytes) => seen.push(bytes) })
      expect(seen).toEqual([250_000, 500_000, 750_000, 1_000_000])
    })

    it('does not push what is not its digest', async () => {
      const blob = { digest: digestOf('right'), size: 5 }
      await expect(client.putBlob(reference('app'), blob, async function* () { yield Buffer.from('wrong') }, call)).rejects.toMatchObject({ code: 'REGISTRY_REFUSED' })
      expect(await client.hasBlob(reference('app'), blob.digest, call)).toBe(false)
    })

    it('stops an upload whose source fails, with its error', async () => {
      const source = async function* () {
        yield Buffer.alloc(1000)
        throw new Error('the disk is gone')
      }
      await expect(client.putBlob(reference('app'), { digest: digestOf('x'), size: 2000 }, source, call)).rejects.toThrow('the disk is gone')
    })

    it('lists tags', async () => {
      for (const tag of ['b', 'a', 'c']) await putImage(`app:${tag}`, Buffer.from('layer content'))
      expect((await client.tags(reference('app'), call)).toSorted()).toEqual(['a', 'b', 'c'])
    })

    it('says what is not there in the words of Docker', async () => {
      await putImage('app:v1', randomBytes(10))
      await expect(client.manifest(reference('app:v2'), call)).rejects.toMatchObject({ kind: 'not-found', message: `manifest for ${registry.address}/app:v2 not found: manifest unknown: manifest unknown` })
      await expect(client.tags(reference('other'), call)).rejects.toMatchObject({ kind: 'not-found', message: `repository ${registry.address}/other not found: name unknown: repository name not known to registry` })
      await expect(read('app', { mediaType: '', digest: digestOf('x'), size: 1 })).rejects.toMatchObject({ kind: 'not-found', message: 'blob unknown: blob unknown to registry' })
    })

    it('takes any credentials where none are needed', async () => {
      await expect(client.login({ serveraddress: registry.address, username: 'me', password: 'secret' }, call)).resolves.toEqual({})
    })
  })
})
