import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BerthError, isErrno } from '@berth/core'
import { type Descriptor, mediaTypes, parseIndex } from '@berth/oci'
import { blobPath } from './blob-path.ts'
import type { BlobReader, ReadOptions, Root } from './image.ts'
import { mergeRoots, nameAnnotation, namedDescriptors, tagAnnotation } from './names.ts'
import { walk } from './walk.ts'

/**
 * Writes images into a directory as an OCI layout, beside those that are in it: what has a name that is written anew loses that name. Blobs that are there
 * already are kept. Each file is durable before the `index.json` that names it replaces the old one, in one step. One writer at a time.
 * @throws `not-found` for a root that is not there; `invalid-argument` for a directory that is a layout of another kind; `data-loss` for a blob that is not as long as it should be.
 */
export async function writeLayout(dir: string, roots: readonly Root[], reader: BlobReader, options: ReadOptions = {}): Promise<void> {
  await mkdir(join(dir, 'blobs/sha256'), { recursive: true })
  const before = await readIndex(join(dir, 'index.json'))
  const merged = mergeRoots(roots)
  for (const { descriptor } of merged) {
    for await (const blob of walk(reader, descriptor, options)) await writeBlob(join(dir, blobPath(blob.digest)), blob, reader, options)
  }
  await writeWhole(join(dir, 'oci-layout'), [Buffer.from('{"imageLayoutVersion":"1.0.0"}')])
  await writeWhole(join(dir, 'index.json'), [Buffer.from(JSON.stringify(addRoots(before, merged)))])
}

/** An index as it stands in its file. */
interface RawIndex {
  schemaVersion: 2
  mediaType?: string
  manifests: Descriptor[]
}

/** The entries that were there and are not replaced, then the new ones. */
function addRoots(before: RawIndex, roots: readonly Root[]): RawIndex {
  const added = roots.flatMap(namedDescriptors)
  const names = new Set(added.map(nameOf).filter((name) => name !== undefined))
  const unnamed = new Set(added.filter((each) => nameOf(each) === undefined).map(({ digest }) => digest))
  const kept = before.manifests.filter((each) => {
    const name = nameOf(each)
    return name === undefined ? !unnamed.has(each.digest) : !names.has(name)
  })
  return { ...before, manifests: [...kept, ...added] }
}

function nameOf({ annotations }: Descriptor): string | undefined {
  return annotations?.[nameAnnotation] ?? annotations?.[tagAnnotation]
}

async function readIndex(path: string): Promise<RawIndex> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }
    throw error
  }
  parseIndex(bytes, mediaTypes.ociIndex)
  return JSON.parse(bytes.toString()) as RawIndex
}

async function writeBlob(path: string, blob: Descriptor, reader: BlobReader, options: ReadOptions): Promise<void> {
  if ((await sizeOf(path)) === blob.size) return
  await mkdir(dirname(path), { recursive: true })
  const written = await writeWhole(path, reader.blob(blob, options), blob.size)
  if (written !== blob.size) throw new BerthError('data-loss', 'SIZE_MISMATCH', `${blob.digest}: has ${written} of ${blob.size} bytes`)
}

/** Makes a file appear whole, and durable. @returns its bytes; a file of others than were expected does not appear. */
async function writeWhole(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, expected?: number): Promise<number> {
  const temporary = join(dirname(path), `.${randomUUID()}`)
  let written = 0
  try {
    await withFile(await open(temporary, 'wx', 0o644), async (file) => {
      for await (const chunk of content) {
        written += chunk.length
        await file.writeFile(chunk)
      }
      await file.sync()
    })
    if (expected === undefined || written === expected) await rename(temporary, path)
    await withFile(await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY), async (directory) => directory.sync())
    return written
  } finally {
    await rm(temporary, { force: true })
  }
}

async function withFile(file: FileHandle, use: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await use(file)
  } finally {
    await file.close()
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}
