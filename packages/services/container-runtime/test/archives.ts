import { execFileSync } from 'node:child_process'
import { type TarEntry, type TarMember, tarOf, TarReader } from '@berth/layer-tar'
import type { ContainerOperations } from '../src/index.ts'

const never = new AbortController().signal
/** How `docker cp` writes. */
export const plain = { noOverwriteDirNonDir: false, copyUidGid: false, signal: never }

export async function* stream(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

export async function collect(archive: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of archive) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The lines of GNU tar's listing: type and mode, owner, size or device, name. */
export function list(tar: Buffer): string[] {
  return execFileSync('tar', ['tvP', '--numeric-owner'], { input: tar, encoding: 'utf8', maxBuffer: 1 << 26 })
    .split('\n')
    .filter(Boolean)
    .map((line) => line.replace(/\s+/g, ' ').replace(/ \d{4}-\d\d-\d\d \d\d:\d\d /, ' '))
}

/** The names in an archive, with what links lead to. */
export function namesIn(tar: Buffer): string[] {
  return membersOf(tar).map(({ entry: { name, type, linkname } }) => {
    const link = { hardlink: ' link to ', symlink: ' -> ' }[type as string]
    return link ? `${name}${link}${linkname}` : name
  })
}

function membersOf(tar: Buffer): { entry: TarEntry; content: string }[] {
  const members: { entry: TarEntry; content: string }[] = []
  const reader = new TarReader({
    entry: (entry) => members.push({ entry, content: '' }),
    data: (bytes) => (members.at(-1)!.content += bytes.toString('latin1')),
    hole: () => {},
    end: () => {},
  })
  reader.push(tar)
  reader.finish()
  return members
}

/** Copies from and to containers, in short. */
export function copies(containers: () => ContainerOperations) {
  const get = async (id: string, path: string, signal = never) => collect((await containers().readArchive(id, path, { signal })).archive)
  return {
    get,
    put: (id: string, path: string, members: TarMember[], options = plain) => containers().writeArchive(id, path, stream(tarOf(members)), options),
    /** The content of one file, as a copy brings it. */
    read: async (id: string, path: string) => membersOf(await get(id, path))[0]?.content,
  }
}
