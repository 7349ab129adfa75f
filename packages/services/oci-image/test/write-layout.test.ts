import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BlobReader, openLayout, resolveImage, validate, walk, writeLayout } from '../src/index.ts'
import { Blobs, listOf, partialIndex, sampleImage } from './fixtures.ts'

let dir: string
beforeEach(() => {
  dir = join(mkdtempSync('/tmp/oci-image-'), 'layout')
})
afterEach(() => rmSync(join(dir, '..'), { recursive: true }))

const root = (name: string, image: { descriptor: { mediaType: string; digest: string; size: number } }) => ({ names: [`docker.io/library/${name}`], descriptor: image.descriptor })
const read = async () => {
  await using source = await openLayout(dir)
  return await Promise.all((await source.roots()).map(async ({ names, descriptor }) => ({ names, problems: await validate(await resolveImage(source, descriptor)) })))
}
const files = () => readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(dir, name)).isFile()).toSorted()

describe('a layout that is written', () => {
  it('is read back, and holds nothing else', async () => {
    const image = await sampleImage()
    await writeLayout(dir, [root('a:1', image)], image)
    expect(await read()).toEqual([{ names: ['docker.io/library/a:1'], problems: [] }])
    const blobs = (await listOf(walk(image, image.descriptor))).map(({ digest }) => `blobs/sha256/${digest.slice(7)}`)
    expect(files()).toEqual([...blobs, 'index.json', 'oci-layout'].toSorted())
  })

  it('keeps what it had, and moves a name', async () => {
    const [one, two] = [await sampleImage('one'), await sampleImage('two')]
    await writeLayout(dir, [root('a:1', one), root('b:1', one)], one)
    const before = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')) as { manifests: object[] }
    writeFileSync(join(dir, 'index.json'), JSON.stringify({ ...before, annotations: { kept: 'yes' }, manifests: before.manifests.map((each) => ({ ...each, 'x-kept': 1 })) }))
    await writeLayout(dir, [root('a:1', two)], two)
    expect((await read()).map(({ names }) => names)).toEqual([['docker.io/library/b:1'], ['docker.io/library/a:1']])
    const after = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')) as { annotations: object; manifests: object[] }
    expect(after).toMatchObject({ annotations: { kept: 'yes' }, manifests: [{ 'x-kept': 1 }, {}] })
  })

  it('has an image without a name once', async () => {
    const image = await sampleImage()
    for (let time = 0; time < 2; time++) await writeLayout(dir, [{ names: [], descriptor: image.descriptor }], image)
    expect(await read()).toEqual([{ names: [], problems: [] }])
  })

  it('does not read blobs again that it has', async () => {
    const image = await sampleImage()
    await writeLayout(dir, [root('a:1', image)], image)
    const { layers } = await image.manifest()
    const layerless: BlobReader = {
      has: (descriptor) => image.has(descriptor),
      blob(descriptor) {
        if (layers.some(({ digest }) => digest === descriptor.digest)) throw new Error('read again')
        return image.blob(descriptor)
      },
    }
    await writeLayout(dir, [root('b:1', image)], layerless)
    expect((await read())[0]!.names).toEqual(['docker.io/library/a:1', 'docker.io/library/b:1'])
  })

  it('has of an index what there is', async () => {
    const blobs = new Blobs()
    const { descriptor, elsewhere } = await partialIndex(blobs)
    await writeLayout(dir, [root('multi:1', { descriptor })], blobs)
    expect(await read()).toEqual([{ names: ['docker.io/library/multi:1'], problems: [] }])
    expect(existsSync(join(dir, 'blobs', elsewhere.digest.replace(':', '/')))).toBe(false)
  })

  it('leaves nothing half made when a blob is not as long as it should be, or its reader fails', async () => {
    const image = await sampleImage()
    const { layers } = await image.manifest()
    const with_ = (content: () => AsyncIterable<Uint8Array>): BlobReader => ({
      has: (descriptor) => image.has(descriptor),
      blob: (descriptor) => (descriptor.digest === layers[1]!.digest ? content() : image.blob(descriptor)),
    })
    await expect(writeLayout(dir, [root('a:1', image)], with_(async function* () { yield Buffer.from('short') }))).rejects.toMatchObject({ kind: 'data-loss' })
    await expect(writeLayout(dir, [root('a:1', image)], with_(async function* () { yield Buffer.from('short'); throw new Error('unplugged') }))).rejects.toThrow('unplugged')
    expect(files()).toEqual([(await image.manifest()).config, layers[0]!].map(({ digest }) => `blobs/sha256/${digest.slice(7)}`).toSorted())
  })

  it('is not written where a directory holds another index', async () => {
    const image = await sampleImage()
    await writeLayout(dir, [], image)
    expect(await read()).toEqual([])
    writeFileSync(join(dir, 'index.json'), '{"schemaVersion":1}')
    await expect(writeLayout(dir, [root('a:1', image)], image)).rejects.toThrow('schema 1')
    expect(readFileSync(join(dir, 'index.json'), 'utf8')).toBe('{"schemaVersion":1}')
  })

  it('is not written for a root that is not there', async () => {
    await expect(writeLayout(dir, [root('a:1', await sampleImage())], new Blobs())).rejects.toMatchObject({ kind: 'not-found' })
    expect(files()).toEqual([])
  })
})
