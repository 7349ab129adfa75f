import { attributeOptions, invalidOption, parseCount, parseDelivery, parseFlag, parseSize } from './log-options.ts'

export interface CacheOptions {
  /** For the log that is the cache. */
  ofCache: Readonly<Record<string, string>>
  /** Bytes that may wait for the peer, what records take beside their text included. */
  capacity: number
  /** What happens when there is no room: the container waits, or the oldest entries are dropped. */
  isBlocking: boolean
}

/** What a container writes at once, at worst 64 KiB of empty lines, must not push out of the cache what came right before it. */
const smallestFile = 4 * 1024 * 1024

const names = ['cache-disabled', 'cache-max-size', 'cache-max-file', 'cache-compress']

export function withoutCacheOptions(options: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)))
}

/** Reads Docker's options of its dual logging, with Docker's defaults. @see https://docs.docker.com/engine/logging/dual-logging/ */
export function cacheOptions(options: Readonly<Record<string, string>>): CacheOptions {
  const { 'cache-disabled': isDisabled = 'false', 'cache-max-size': maxSize = '20m', 'cache-max-file': maxFile = '5', 'cache-compress': compress = 'true' } = options
  if (parseFlag('cache-disabled', isDisabled)) throw invalidOption('cache-disabled=true is not supported: output is kept in the cache until its peer has it; cache-max-size and cache-max-file limit it')
  parseFlag('cache-compress', compress)
  const { mode, maxBufferSize } = parseDelivery(options)
  const fileSize = parseSize('cache-max-size', maxSize, 1024)
  if (fileSize < smallestFile) throw invalidOption(`invalid cache-max-size ${JSON.stringify(maxSize)}: cache-max-size must be at least 4m`)
  // The file that is written to may just have been begun; the others are full.
  const capacity = fileSize * (parseCount('cache-max-file', maxFile, 2) - 1)
  // What is read from the cache tells the same as what is sent.
  const chosen = Object.fromEntries(attributeOptions.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])))
  return {
    ofCache: { 'max-size': maxSize, 'max-file': maxFile, compress, ...chosen },
    capacity: options['max-buffer-size'] === undefined ? capacity : Math.min(capacity, maxBufferSize),
    isBlocking: mode === 'blocking',
  }
}
