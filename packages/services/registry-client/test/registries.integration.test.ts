import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BerthError } from '@berth/core'
import { type Descriptor, digestOf, mediaTypes, parseReference } from '@berth/oci'
import { startRegistry } from '@berth/registry'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readCertsDirs, type RegistryCall, type RegistryClient, type RegistryClientOptions } from '../src/index.ts'
import { type Certificates, hasOpenssl, makeCertificates } from './certificates.ts'
import { startCuttingProxy } from './cutting-proxy.ts'
import { DebianRegistry, debianRegistryPath } from './debian-registry.ts'
import { auth, newClient } from './harness.ts'

interface StartedRegistry extends AsyncDisposable {
  address: string
  /** How it is reached. */
  options?: RegistryClientOptions
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

/** Made once, as that takes a while. */
let certificates: Certificates | undefined
afterAll(() => certificates?.[Symbol.asyncDispose]())

/** With a certificate of a private authority, for clients that have one, too. `certs.d` is as for Docker, or as for containerd. */
async function encryptedRegistry(flavour: 'docker' | 'containerd'): Promise<StartedRegistry> {
  certificates ??= await makeCertificates()
  const registry = await DebianRegistry.start({ tls: { certificate: certificates.path('server.pem'), key: certificates.path('server.key'), clientcas: [certificates.path('ca.pem')] } })
  const certsDir = await mkdtemp(join(tmpdir(), 'berth-certs-d-'))
  const directory = join(certsDir, registry.address)
  await mkdir(directory)
  if (flavour === 'docker') {
    await copyFile(certificates.path('ca.pem'), join(directory, 'ca.crt'))
    await copyFile(certificates.path('client.pem'), join(directory, 'client.cert'))
    await copyFile(certificates.path('client.key'), join(directory, 'client.key'))
  } else {
    const pair = JSON.stringify([[certificates.path('client.pem'), certificates.path('client.key')]])
    await writeFile(join(directory, 'hosts.toml'), `server = "https://${registry.address}"\nca = "${certificates.path('ca.pem')}"\nclient = ${pair}\n`)
  }
  return {
    address: registry.address,
    options: { hosts: readCertsDirs([certsDir]) },
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]()
      await rm(certsDir, { recursive: true })
    },
  }
}

const isDebianHere = debianRegistryPath !== undefined
const registries: { name: string; isHere: boolean; isPrivate?: boolean; start: () => Promise<StartedRegistry> }[] = [
  { name: 'our registry', isHere: true, start: ownRegistry },
  { name: 'Debian package docker-registry', isHere: isDebianHere, start: () => DebianRegistry.start() },
  { name: 'Debian package docker-registry with passwords', isHere: isDebianHere, isPrivate: true, start: () => DebianRegistry.start({ isPrivate: true }) },
  { name: 'Debian package docker-registry with certificates on both sides', isHere: isDebianHere && hasOpenssl, start: () => encryptedRegistry('docker') },
]

describe.for(registries)('$name', ({ isHere, isPrivate = false, start }) => {
  const call: RegistryCall = { signal: new AbortController().signal, ...(isPrivate && { auth }) }
  describe.skipIf(!isHere)('with the client', () => {
    let registry: StartedRegistry
    let client: RegistryClient
    let tests = 0
    /** Above the repositories of one test: a registry of its own for each takes half a minute, most of it for processes that start. */
    let space = ''

    beforeAll(async () => {
      registry = await start()
    })
    afterAll(() => registry[Symbol.asyncDispose]())
    beforeEach(() => {
      space = `test-${++tests}`
      client = newClient({ ...registry.options, partSize: 2_000_000 })
    })

    const reference = (name: string) => parseReference(`${registry.address}/${space}/${name}`)
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
      expect(digestOf(await read('app', blob))).toBe(blob.digest)
      expect(await read('app', blob, 2_999_000)).toEqual(layer.subarray(2_999_000))
      expect(await read('app', blob, layer.length)).toHaveLength(0)
    })

    it('finds blobs, and has them taken over', async () => {
      const blob = await put('first', Buffer.from('content of a layer'))
      expect(await client.hasBlob(reference('first'), blob.digest, call)).toBe(true)
      expect(await client.hasBlob(reference('second'), blob.digest, call)).toBe(false)
      expect(await client.mountBlob(reference('second'), blob.digest, { ...call, from: `${space}/nowhere` })).toBe(false)
      expect(await client.mountBlob(reference('second'), blob.digest, { ...call, from: `${space}/first` })).toBe(true)
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
      await expect(client.manifest(reference('app:v2'), call)).rejects.toMatchObject({ kind: 'not-found', message: `manifest for ${registry.address}/${space}/app:v2 not found: manifest unknown: manifest unknown` })
      await expect(client.tags(reference('other'), call)).rejects.toMatchObject({ kind: 'not-found', message: `repository ${registry.address}/${space}/other not found: name unknown: repository name not known to registry` })
      await expect(read('app', { mediaType: '', digest: digestOf('x'), size: 1 })).rejects.toMatchObject({ kind: 'not-found', message: 'blob unknown: blob unknown to registry' })
    })

    it('takes right credentials, and wrong ones only where none are needed', async () => {
      await expect(client.login({ ...auth, serveraddress: registry.address }, call)).resolves.toEqual({})
      const wrong = await client.login({ ...auth, password: 'hunter22', serveraddress: registry.address }, call).then(() => 'taken', (error: BerthError) => error.kind)
      expect(wrong).toBe(isPrivate ? 'unauthenticated' : 'taken')
    })

    it('resumes an upload and a download that break', async () => {
      // Between us and a registry that encrypts nothing can be cut by counting bytes of content, but the connection can.
      const layer = randomBytes(9_000_000)
      const blob = { mediaType: mediaTypes.ociLayer, digest: digestOf(layer), size: layer.length }
      await using proxy = await startCuttingProxy(registry.address, { bytes: 2_700_000, cuts: 3 })
      const hosts = await registry.options?.hosts?.(registry.address)
      const through = newClient({ ...registry.options, partSize: 2_000_000, retryDelay: 50, hosts: () => ({ server: { ...hosts?.server, url: `${hosts ? 'https' : 'http'}://${proxy.address}` } }) })
      await through.putBlob(reference('app'), blob, async function* () {
        for (let start = 0; start < layer.length; start += 100_000) yield layer.subarray(start, start + 100_000)
      }, call)
      expect(proxy.state.cut).toBe(3)
      expect(digestOf(await read('app', blob))).toBe(blob.digest)
    })

    it('lists repositories', async () => {
      for (const name of ['team/b:1', 'a:1']) await putImage(name, Buffer.from('layer content'))
      const repositories = await client.catalog(registry.address, call)
      expect(repositories.filter((name) => name.startsWith(`${space}/`))).toEqual([`${space}/a`, `${space}/team/b`])
    })

    it('inspects images and their platforms', async () => {
      const { digest, bytes, mediaType } = await putImage('app:v1', randomBytes(10))
      expect(await client.inspect(reference('app:v1'), call)).toEqual({ Descriptor: { mediaType, digest, size: bytes.length }, Platforms: [] })
    })

    it('finds what refers to a manifest, by the API or by tag', async () => {
      const { digest, bytes, mediaType } = await putImage('app:v1', randomBytes(10))
      expect(await client.referrers(reference('app:v1'), call)).toEqual([])
      const config = await put('app', Buffer.from('{}'), 'application/vnd.oci.empty.v1+json')
      const signature = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, artifactType: 'application/signature', config, layers: [], subject: { mediaType, digest, size: bytes.length } }))
      const descriptor = { mediaType, digest: digestOf(signature), size: signature.length, artifactType: 'application/signature' }
      await client.putManifest(reference(`app@${descriptor.digest}`), { bytes: signature, mediaType }, call)
      // What a client does for registries that lack the API, and what those that have it do not mind.
      const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [descriptor] }))
      await client.putManifest(reference(`app:${digest.replace(':', '-')}`), { bytes: index, mediaType: mediaTypes.ociIndex }, call)
      expect(await client.referrers(reference('app:v1'), call)).toMatchObject([descriptor])
      expect(await client.referrers(reference('app:v1'), { ...call, artifactType: 'application/other' })).toEqual([])
    })

    it('deletes manifests', async () => {
      const { digest } = await putImage('app:v1', randomBytes(10))
      await client.deleteManifest(reference(`app@${digest}`), call)
      await expect(client.manifest(reference('app:v1'), call)).rejects.toMatchObject({ kind: 'not-found' })
      await expect(client.deleteManifest(reference(`app@${digest}`), call)).rejects.toMatchObject({ kind: 'not-found' })
    })
  })
})

describe.skipIf(!isDebianHere || !hasOpenssl)('Debian package docker-registry that wants certificates', () => {
  const call = { signal: new AbortController().signal }

  it('is reached by hosts.toml', async () => {
    await using registry = await encryptedRegistry('containerd')
    await expect(newClient(registry.options).catalog(registry.address, call)).resolves.toEqual([])
  })

  it('lets in nobody without a certificate, and is not trusted without its authority', async () => {
    await using registry = await encryptedRegistry('docker')
    const tags = parseReference(`${registry.address}/app`)
    const { ca = [], client = [] } = (await registry.options?.hosts?.(registry.address))?.server ?? {}
    const withServer = (server: object) => newClient({ hosts: () => ({ server: { url: `https://${registry.address}`, ...server } }) })
    await expect(withServer({ ca }).tags(tags, call)).rejects.toMatchObject({ kind: 'unavailable' })
    await expect(withServer({ client, skipVerify: false }).tags(tags, call)).rejects.toMatchObject({ message: expect.stringContaining('certificate signed by unknown authority') })
    await expect(withServer({ client, skipVerify: true }).tags(tags, call)).rejects.toMatchObject({ kind: 'not-found' })
    await expect(withServer({ ca, client }).tags(tags, call)).rejects.toMatchObject({ kind: 'not-found' })
    await expect(withServer({ ca, client: [{ cert: 'hunter2', key: 'hunter2' }] }).tags(tags, call)).rejects.toMatchObject({ code: 'CERTIFICATE_INVALID' })
  })
})
