import type { TarEntry } from './tar-header.ts'
import { contentPadding, encodeEntry, endOfArchive } from './tar-writer.ts'

/** A member of an archive to be made: a name, and what differs from a file 0644 (a directory 0755, if the name ends in `/`) of root at time 0. */
export type TarMember = Partial<Omit<TarEntry, 'name' | 'size'>> & {
  /** Unlike in a {@link TarEntry}, ordinary text. */
  name: string
  content?: Uint8Array | string
}

/** A small archive, whole in memory. */
export function tarOf(members: Iterable<TarMember>): Buffer {
  const parts: Buffer[] = []
  for (const { name, content = '', linkname = '', ...rest } of members) {
    const body = Buffer.from(content)
    const type = rest.type ?? (name.endsWith('/') ? 'directory' : 'file')
    const entry: TarEntry = {
      mode: type === 'directory' ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      mtime: 0n,
      devmajor: 0,
      devminor: 0,
      xattrs: new Map(),
      ...rest,
      type,
      name: byteString(name),
      linkname: byteString(linkname),
      size: body.length,
    }
    parts.push(encodeEntry(entry), body, contentPadding(body.length))
  }
  return Buffer.concat([...parts, endOfArchive()])
}

function byteString(text: string): string {
  return Buffer.from(text).toString('latin1')
}
