import { createHash } from 'node:crypto'
import { chmodSync, closeSync, createReadStream, lchownSync, lstatSync, openSync } from 'node:fs'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { getXattr, listXattrs, setTimes, setXattr, syncFileSystem, withRoot } from '@berth/linux'
import type { Compression } from '@berth/oci'
import { type ExtractOptions, LayerExtractor } from './extract-layer.ts'
import { TarReader } from './tar-reader.ts'
import { isKeptXattr } from './whiteouts.ts'

export interface ApplyLayerOptions extends ExtractOptions {
  /** The layer's file. */
  path: string
  compression: Compression
  /** The directory to make it in. */
  root: string
  /** What the uncompressed tar must be, `sha256:…`. */
  diffId?: string | undefined
  /** Uncompressed bytes above this number are refused with `resource-exhausted`. */
  maxBytes?: number | undefined
  /**
   * The layers below, the top one first. Where an archive names `usr/bin/x` but not `usr/bin`, that directory keeps the owner, mode,
   * attributes and times that it has below; without this it would cover them with root's.
   */
  lowers?: readonly string[] | undefined
  /** Whether all is on disk in the end, as far as the disk tells the truth. It costs the time to write the whole file system's changes. */
  sync?: boolean | undefined
}

export interface ApplyLayerResult {
  /** Digest of the uncompressed tar, `sha256:…`. */
  diffId: string
  /** Bytes of the uncompressed tar. */
  bytes: number
  entries: number
}

const chunkSize = 512 * 1024

/**
 * Unpacks a layer in the calling worker thread. Each piece is unpacked inside `root`, so that nothing in the archive reaches out of it.
 * What a failure leaves in `root` is the caller's to delete.
 * @throws `data-loss` for a broken or another layer; `invalid-argument` for one that means harm; `resource-exhausted` past a limit or a full disk.
 */
export async function applyLayer(
  { path, compression, root, diffId, maxBytes = Infinity, lowers = [], sync = false, ...extract }: ApplyLayerOptions,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
): Promise<ApplyLayerResult> {
  const extractor = new LayerExtractor(extract)
  const reader = new TarReader(extractor)
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of uncompressed(path, compression)) {
      signal?.throwIfAborted()
      bytes += chunk.length
      if (bytes > maxBytes) throw new BerthError('resource-exhausted', 'LAYER_TOO_LARGE', `the layer unpacks to more than ${maxBytes} bytes`)
      hash.update(chunk)
      withRoot(root, () => reader.push(chunk))
      onProgress?.(bytes)
    }
    reader.finish()
    const actual = `sha256:${hash.digest('hex')}`
    if (diffId !== undefined && actual !== diffId) {
      throw new BerthError('data-loss', 'DIFF_ID_MISMATCH', `layer content could not be verified: it is ${actual}, not ${diffId}`)
    }
    const { entries, impliedDirectories } = withRoot(root, () => extractor.finish())
    for (const directory of impliedDirectories) inherit(root, Buffer.from(directory, 'latin1'), lowers)
    if (sync) syncFileSystemOf(root)
    return { diffId: actual, bytes, entries }
  } finally {
    extractor.abort()
  }
}

async function* uncompressed(path: string, compression: Compression): AsyncGenerator<Buffer, void, undefined> {
  const file = createReadStream(path, { highWaterMark: chunkSize })
  const inflate = { none: undefined, gzip: createGunzip, zstd: createZstdDecompress }[compression]
  // A failure of the file arrives where the end of the pipeline is read.
  const stream: Readable = inflate ? pipeline(file, inflate({ chunkSize }), () => {}) : file
  try {
    for await (const chunk of stream) yield chunk as Buffer
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw new BerthError('not-found', 'LAYER_NOT_FOUND', `layer file ${path}: not found`, { cause: error })
    const code = String((error as NodeJS.ErrnoException).code ?? '')
    // zlib names its errors Z_DATA_ERROR and the like, zstd ZSTD_error_….
    if (/^(Z_|ZSTD|ERR_ZSTD)/.test(code)) throw new BerthError('data-loss', 'LAYER_CORRUPT', `the layer cannot be decompressed: ${messageOf(error)}`, { cause: error })
    throw error
  }
}

function syncFileSystemOf(path: string): void {
  const fd = openSync(path, 'r')
  try {
    syncFileSystem(fd)
  } finally {
    closeSync(fd)
  }
}

/** Gives a directory that nobody described what it has in the topmost layer below that has it. */
function inherit(root: string, directory: Buffer, lowers: readonly string[]): void {
  for (const lower of lowers) {
    const found = withRoot(lower, () => attributesOf(directory))
    if (found === undefined) continue
    if (found === 'hidden') return
    withRoot(root, () => {
      lchownSync(directory, found.uid, found.gid)
      chmodSync(directory, found.mode)
      for (const [name, value] of found.xattrs) setXattr(directory, name, value)
      setTimes(directory, found.mtime, found.mtime)
    })
    return
  }
}

function attributesOf(directory: Buffer) {
  try {
    const stats = lstatSync(directory, { bigint: true })
    if (!stats.isDirectory()) return 'hidden'
    const xattrs = listXattrs(directory).filter(isKeptXattr).map((name): [string, Buffer] => [name, getXattr(directory, name)])
    return { uid: Number(stats.uid), gid: Number(stats.gid), mode: Number(stats.mode) & 0o7777, mtime: stats.mtimeNs, xattrs }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    if (isErrno(error, 'ENOTDIR')) return 'hidden'
    throw error
  }
}
