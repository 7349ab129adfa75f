import { serveCalls } from '@berth/core'
import { withRoot } from '@berth/linux'
import { type ExtractOptions, LayerExtractor, type PackOptions, packTree, TarReader } from '../src/index.ts'

/** What tests have done in a thread, where the kernel confines it as it does for whoever uses the parts. */
export type ConfinedJobs = typeof jobs

const jobs = {
  extract(root: string, tar: Uint8Array, options: ExtractOptions, step = 64 * 1024) {
    return withRoot(root, () => {
      const extractor = new LayerExtractor(options)
      const reader = new TarReader(extractor)
      try {
        for (let offset = 0; offset < tar.length; offset += step) reader.push(Buffer.from(tar.subarray(offset, offset + step)))
        reader.finish()
        return extractor.finish()
      } finally {
        extractor.abort()
      }
    })
  },
  pack(root: string, options: PackOptions): Uint8Array {
    return withRoot(root, () => Buffer.concat([...packTree(options)]))
  },
}

serveCalls(jobs)
