import { packTree } from '@berth/layer-tar'
import type { CopyPlan } from './copy-paths.ts'

/** A file or directory of this machine as a tar archive, under the name that it gets where it goes to. Reads as it is asked for more. */
export function packFiles(path: string, { to }: Pick<CopyPlan, 'to'>): Iterable<Uint8Array> {
  const isContent = path.endsWith('/.')
  return packTree({ whiteouts: 'none', path: byteString(isContent ? path.slice(0, -1) : path), name: byteString(to) })
}

const byteString = (text: string): string => Buffer.from(text).toString('latin1')
