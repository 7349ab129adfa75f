import { createHash } from 'node:crypto'
import { BerthError } from '@berth/core'
import { withRoot } from '@berth/linux'
import type { Compression } from '@berth/oci'
import { type ExtractOptions, LayerExtractor } from './extract-layer.ts'
import { type Growth, tarIn } from './layer-source.ts'
import { limits } from './limits.ts'
import type { TarEntry } from './tar-header.ts'
import { TarReader } from './tar-reader.ts'

export interface ApplyLayerOptions extends ExtractOptions {
  /** Found from the first bytes when absent. */
  compression?: Compression | undefined
  /** The directory to make it in. */
  root: string
  /** What the uncompressed tar must be, `sha256:…`. */
  diffId?: string | undefined
  /** Uncompressed bytes above this number are refused with `resource-exhausted`; 1 TiB unless told otherwise. */
  maxBytes?: number | undefined
}

export interface ApplyLayerResult {
  /** Digest of the uncompressed tar, `sha256:…`. */
  diffId: string
  /** Bytes of the uncompressed tar. */
  bytes: number
  entries: number
}

/**
 * Unpacks a layer in the calling worker thread, as far as its file has grown. Each piece is unpacked inside `root`, so that nothing in the archive reaches out of it.
 * Between two pieces the thread is free for other work. What a failure leaves in `root` is the caller's to delete.
 * @returns also the directories that nobody described, the root among them; see `inheritAttributes`
 * @throws `data-loss` for a broken or another layer; `invalid-argument` for one that means harm; `resource-exhausted` past a limit or a full disk.
 */
export async function applyLayer(
  file: { fd: number; growth: Growth },
  { compression, root, diffId, maxBytes = limits.layerBytes, ...extract }: ApplyLayerOptions,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
): Promise<ApplyLayerResult & { impliedDirectories: string[] }> {
  const extractor = new RootWatcher(extract)
  const reader = new TarReader(extractor)
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of tarIn(file.fd, file.growth, compression)) {
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
    return { diffId: actual, bytes, entries, impliedDirectories: extractor.describedRoot ? impliedDirectories : ['/', ...impliedDirectories] }
  } finally {
    extractor.abort()
  }
}

/** Sees whether the archive says what the root directory is like. */
class RootWatcher extends LayerExtractor {
  describedRoot = false

  override entry(entry: TarEntry): void {
    if (/^[./]*$/.test(entry.name)) this.describedRoot = true
    super.entry(entry)
  }
}
