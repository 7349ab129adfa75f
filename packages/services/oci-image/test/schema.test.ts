import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { isConfigType, isIndexType, isManifestType } from '@berth/oci'
import { appendLayer, archiveOf, type BlobReader, openArchiveFiles, type Root, walk, withConfig, writeLayout } from '../src/index.ts'
import { Blobs, bytesOf, layerTar, legacyArchive, listOf, memoryFiles, partialIndex, sampleImage } from './fixtures.ts'
import { ociSchema } from './oci-schema.ts'

const dir = mkdtempSync('/tmp/oci-image-')
afterAll(() => rmSync(dir, { recursive: true }))

/** What a schema has against a document. */
function against(name: Parameters<typeof ociSchema>[0], bytes: Uint8Array) {
  const schema = ociSchema(name)
  return schema(JSON.parse(Buffer.from(bytes).toString())) ? [] : schema.errors!
}

/** Every document below a root. */
async function conformsBelow(reader: BlobReader, { descriptor }: Root) {
  const documents = { manifest: 0, config: 0, index: 0 }
  for (const blob of await listOf(walk(reader, descriptor))) {
    const kind = isManifestType(blob.mediaType) ? 'manifest' : isConfigType(blob.mediaType) ? 'config' : isIndexType(blob.mediaType) ? 'index' : undefined
    if (kind === undefined) continue
    documents[kind]++
    expect(against(kind, await bytesOf(reader.blob(blob)))).toEqual([])
  }
  return documents
}

it('what is written is as the schemas of the specification say: layouts and archives', async () => {
  const blobs = new Blobs()
  const { descriptor } = await partialIndex(blobs)
  const roots = [{ names: ['docker.io/library/multi:1', 'localhost:5000/multi:2'], descriptor }, { names: [], descriptor: await blobs.copy(await sampleImage()) }]
  await writeLayout(dir, roots, blobs)
  expect(against('layout', readFileSync(join(dir, 'oci-layout')))).toEqual([])
  expect(against('index', readFileSync(join(dir, 'index.json')))).toEqual([])
  const archive = await bytesOf(archiveOf(roots, blobs))
  const file = (name: string) => {
    const header = archive.indexOf(`${name}\0`)
    return archive.subarray(header + 512, header + 512 + Number.parseInt(archive.toString('latin1', header + 124, header + 135), 8))
  }
  expect(against('layout', file('oci-layout'))).toEqual([])
  expect(against('index', file('index.json'))).toEqual([])
})

it('what is written is as the schemas of the specification say: images that are made, changed, and taken from docker-archives', async () => {
  const image = await sampleImage()
  const grown = await withConfig(await appendLayer(image, layerTar('more')), (config) => ({ ...config, config: { ...config.config, Env: ['A=b'] } }))
  for (const each of [image, grown]) expect(await conformsBelow(each, { names: [], descriptor: each.descriptor })).toEqual({ manifest: 1, config: 1, index: 0 })
  const { config, configName, manifest, layers } = legacyArchive()
  const source = await openArchiveFiles(memoryFiles({ [configName]: config, 'manifest.json': manifest, 'layer0/layer.tar': layers[0]!, 'layer1/layer.tar': layers[1]! }))
  expect(await conformsBelow(source, (await source.roots())[0]!)).toEqual({ manifest: 1, config: 1, index: 0 })
})
