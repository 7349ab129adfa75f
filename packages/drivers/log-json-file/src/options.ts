import { BerthError } from '@berth/core'

export interface JsonFileOptions {
  /** Bytes at which a file is full; unlimited when absent. */
  maxSize: number | undefined
  /** Files kept, the current one included. */
  maxFile: number
}

const accepted = new Set(['max-size', 'max-file', 'compress', 'labels', 'labels-regex', 'env', 'env-regex', 'tag', 'mode', 'max-buffer-size'])

/** Reads Docker's options of the json-file driver. @see https://docs.docker.com/engine/logging/drivers/json-file/ */
export function parseOptions(options: Readonly<Record<string, string>>): JsonFileOptions {
  for (const name of Object.keys(options)) if (!accepted.has(name)) throw invalid(`unknown log opt '${name}' for json-file log driver`)
  const maxSize = options['max-size'] === undefined || options['max-size'] === '-1' ? undefined : parseSize(options['max-size'])
  const maxFile = Number(options['max-file'] ?? 1)
  if (!Number.isInteger(maxFile) || maxFile < 1) throw invalid(`invalid max-file ${JSON.stringify(options['max-file'])}: max-file cannot be less than 1`)
  if (maxFile > 1 && maxSize === undefined && options['max-file'] !== undefined) throw invalid(`max-size must be set when max-file is`)
  if (!['false', '0', '', undefined].includes(options['compress'])) throw invalid('compress is not supported by this json-file log driver')
  if (options['mode'] !== undefined && options['mode'] !== 'blocking') throw invalid(`log driver mode ${JSON.stringify(options['mode'])} is not supported: use blocking`)
  return { maxSize, maxFile }
}

function parseSize(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text) ?? []
  const bytes = Math.floor(Number(number) * 1000 ** ' kmgtp'.indexOf(unit.toLowerCase() || ' '))
  if (!(bytes > 0)) throw invalid(`invalid max-size ${JSON.stringify(text)}: must be a positive number of bytes, as in 10m`)
  return bytes
}

const invalid = (message: string) => new BerthError('invalid-argument', 'LOG_OPTION_INVALID', message)
