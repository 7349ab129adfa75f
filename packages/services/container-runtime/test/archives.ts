import { execFileSync } from 'node:child_process'
import { type TarMember, tarOf } from '@berth/layer-tar'
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

export function namesIn(tar: Buffer): string[] {
  return list(tar).map((line) => line.split(' ').slice(3).join(' '))
}

/** Copies from and to containers, in short. */
export function copies(containers: () => ContainerOperations) {
  const get = async (id: string, path: string, signal = never) => collect((await containers().readArchive(id, path, { signal })).archive)
  return {
    get,
    put: (id: string, path: string, members: TarMember[], options = plain) => containers().writeArchive(id, path, stream(tarOf(members)), options),
    /** The content of one file, as a copy brings it. */
    read: async (id: string, path: string) => execFileSync('tar', ['xO'], { input: await get(id, path), encoding: 'utf8' }),
  }
}
