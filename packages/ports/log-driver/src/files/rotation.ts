import { invalidOption, parseCount, parseFlag, parseSize } from '../log-options.ts'

export interface Rotation {
  /** Bytes at which a file is full; unlimited when absent. */
  maxSize: number | undefined
  /** Files kept, the current one included. */
  maxFile: number
  compress: boolean
}

/** Docker's options of drivers that keep files. */
export const rotationOptions = ['max-size', 'max-file', 'compress'] as const

/** Reads them. Throws `invalid-argument` naming the option. `max-size=-1` is unlimited. */
export function parseRotation(options: Readonly<Record<string, string>>, byDefault: { maxSize: number; maxFile: number; compress: boolean }): Rotation {
  const { 'max-size': size, 'max-file': count, compress: flag } = options
  const maxSize = size === undefined ? byDefault.maxSize : size === '-1' ? undefined : parseSize('max-size', size, 1000)
  const maxFile = count === undefined ? byDefault.maxFile : parseCount('max-file', count, 1)
  const canCompress = maxFile > 1 && maxSize !== undefined
  const compress = flag === undefined ? byDefault.compress && canCompress : parseFlag('compress', flag)
  if (compress && !canCompress) throw invalidOption('compress cannot be true when max-file is less than 2 or max-size is not set')
  return { maxSize, maxFile, compress }
}
