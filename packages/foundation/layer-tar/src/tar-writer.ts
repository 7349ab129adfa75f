import { encodePax, xattrKey } from './pax.ts'
import { blockSize, encodeHeader, fitsOctal, type TarEntry, type TarEntryType } from './tar-header.ts'

const flags: Record<TarEntryType, string> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
}

/** The header of an entry, preceded by a PAX header where ustar cannot say it. Its content, padded by {@link contentPadding}, follows. */
export function encodeEntry(entry: TarEntry): Buffer {
  const name = entry.type === 'directory' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name
  const pax = new Map<string, Buffer>()
  if (needsPax(name)) pax.set('path', Buffer.from(name, 'latin1'))
  if (needsPax(entry.linkname)) pax.set('linkpath', Buffer.from(entry.linkname, 'latin1'))
  if (!fitsOctal(entry.size, 12)) pax.set('size', Buffer.from(String(entry.size)))
  if (!fitsOctal(entry.uid, 8)) pax.set('uid', Buffer.from(String(entry.uid)))
  if (!fitsOctal(entry.gid, 8)) pax.set('gid', Buffer.from(String(entry.gid)))
  if (entry.mtime % 1_000_000_000n !== 0n || !fitsOctal(Number(entry.mtime / 1_000_000_000n), 12)) pax.set('mtime', Buffer.from(formatTime(entry.mtime)))
  for (const key of [...entry.xattrs.keys()].toSorted()) pax.set(xattrKey(key), entry.xattrs.get(key)!)

  const { type, xattrs: _, ...fields } = entry
  const header = encodeHeader({ ...fields, name: plain(name), linkname: plain(entry.linkname), flag: flags[type] })
  if (pax.size === 0) return header
  const body = encodePax(pax)
  const paxName = `PaxHeaders.0/${plain(entry.name.split('/').findLast((part) => part !== '') ?? '')}`
  const paxHeader = encodeHeader({
    name: paxName, flag: 'x', mode: 0o644, uid: 0, gid: 0, size: body.length, mtime: 0n, linkname: '', devmajor: 0, devminor: 0,
  })
  return Buffer.concat([paxHeader, body, contentPadding(body.length), header])
}

/** The zeros between the end of a content of this size and the next header. */
export function contentPadding(size: number): Buffer {
  return Buffer.alloc((blockSize - (size % blockSize)) % blockSize)
}

/** What ends an archive. */
export function endOfArchive(): Buffer {
  return Buffer.alloc(2 * blockSize)
}

/** Whether a name is too long, or not ASCII. */
function needsPax(name: string): boolean {
  return name.length > 100 || /[^\x20-\x7e]/.test(name)
}

function plain(name: string): string {
  return name.replaceAll(/[^\x20-\x7e]/g, '_')
}

function formatTime(time: bigint): string {
  const magnitude = time < 0n ? -time : time
  const fraction = String(magnitude % 1_000_000_000n).padStart(9, '0').replace(/0+$/, '')
  return `${time < 0n ? '-' : ''}${magnitude / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`
}
