import { mkdtempSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseReference } from '@berth/oci'
import { type RunningRegistry, startRegistry } from '@berth/registry'
import { RegistryClient } from '@berth/registry-client'
import { openIndex, pushImage, registryImages, resolveImage, validate } from '../src/index.ts'
import { Blobs, partialIndex, sampleImage } from './fixtures.ts'

let root: string
let registry: RunningRegistry
let client: RegistryClient
beforeAll(async () => {
  root = mkdtempSync('/tmp/oci-image-')
  registry = await startRegistry({ root })
  client = new RegistryClient()
})
afterAll(async () => {
  await client[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
  rmSync(root, { recursive: true })
})

const reference = (text: string) => parseReference(`${registry.address}/${text}`)

describe('a registry', () => {
  it('is written to and read from', async () => {
    const image = await sampleImage()
    const sent: string[] = []
    await pushImage(client, reference('app:1'), image, { onProgress: ({ digest }) => sent.push(digest) })
    const { config, layers } = await image.manifest()
    expect(sent).toEqual([config, ...layers, image.descriptor].map(({ digest }) => digest))
    await using source = registryImages(client, reference('app:1'))
    const [found] = await source.roots()
    expect(found).toEqual({ names: [`${registry.address}/app:1`], descriptor: image.descriptor })
    expect(await validate(await resolveImage(source, found!.descriptor))).toEqual([])
  })

  it('takes an index whole, and not in part', async () => {
    const blobs = new Blobs()
    const { descriptor } = await partialIndex(blobs)
    await expect(pushImage(client, reference('multi'), openIndex(blobs, descriptor))).rejects.toMatchObject({ kind: 'not-found', code: 'IMAGE_INCOMPLETE' })
    await expect(registryImages(client, reference('multi')).roots()).rejects.toMatchObject({ kind: 'not-found' })
    const manifests = [{ ...(await blobs.copy(await sampleImage('a'))), platform: { os: 'linux', architecture: 'amd64' } }, { ...(await blobs.copy(await sampleImage('b'))), platform: { os: 'linux', architecture: 'arm64' } }]
    const whole = openIndex(blobs, blobs.put(descriptor.mediaType, { schemaVersion: 2, mediaType: descriptor.mediaType, manifests }))
    await pushImage(client, reference('multi'), whole)
    const source = registryImages(client, reference('multi'))
    const index = openIndex(source, (await source.roots())[0]!.descriptor)
    expect(await index.images()).toHaveLength(2)
    expect((await index.image({ os: 'linux', architecture: 'arm64' })).descriptor.digest).toBe(manifests[1]!.digest)
    expect(await source.has({ ...manifests[0]!, digest: `sha256:${'0'.repeat(64)}` })).toBe(false)
  })

  it('does not send what is there already', async () => {
    const image = await sampleImage()
    await pushImage(client, reference('again:1'), image)
    const puts: string[] = []
    const counting = {
      hasBlob: client.hasBlob.bind(client),
      putManifest: client.putManifest.bind(client),
      putBlob: (...args: Parameters<RegistryClient['putBlob']>) => {
        puts.push(args[1].digest)
        return client.putBlob(...args)
      },
    }
    await pushImage(counting, reference('again:2'), image)
    expect(puts).toEqual([])
  })
})
