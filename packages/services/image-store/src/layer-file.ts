import { open } from 'node:fs/promises'
import { type Compression, sniffCompression } from '@berth/oci'

export interface LayerFile {
  /** From the first bytes, since labels are often wrong. */
  compression: Compression
  /** Bytes of the tar inside as far as the file tells: gzip's trailer says it modulo 4 GiB, zstd's frame need not. Good enough for a progress bar. */
  unpackedSize: number | undefined
}

/** Looks at the two ends of a layer's blob. */
export async function examineLayer(path: string, size: number): Promise<LayerFile> {
  const handle = await open(path, 'r')
  try {
    const bytes = Buffer.alloc(8)
    await handle.read(bytes, 0, 4, 0)
    const compression = sniffCompression(bytes)
    if (compression !== 'gzip' || size < 18) return { compression, unpackedSize: compression === 'none' ? size : undefined }
    await handle.read(bytes, 4, 4, size - 4)
    return { compression, unpackedSize: bytes.readUInt32LE(4) || undefined }
  } finally {
    await handle.close()
  }
}
