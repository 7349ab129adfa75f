import { createHash } from 'node:crypto'
import { BerthError } from '@berth/core'

/** Digest algorithms and the length of their hexadecimal form. */
const encodedLength = { sha256: 64, sha384: 96, sha512: 128 } as const

export type DigestAlgorithm = keyof typeof encodedLength

export interface ParsedDigest {
  algorithm: DigestAlgorithm
  /** Lower-case hexadecimal. */
  encoded: string
}

/**
 * Takes `sha256:…`, `sha384:…` or `sha512:…` apart.
 * @throws `invalid-argument` in Docker's words.
 * @see OCI image spec, descriptor.md, "Digests"
 */
export function parseDigest(digest: string): ParsedDigest {
  const [, algorithm, encoded] = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/.exec(digest) ?? []
  if (algorithm === undefined || encoded === undefined) throw new BerthError('invalid-argument', 'INVALID_DIGEST', 'invalid checksum digest format')
  if (!Object.hasOwn(encodedLength, algorithm)) throw new BerthError('invalid-argument', 'INVALID_DIGEST', 'unsupported digest algorithm')
  const known = algorithm as DigestAlgorithm
  if (encoded.length !== encodedLength[known]) throw new BerthError('invalid-argument', 'INVALID_DIGEST', 'invalid checksum digest length')
  if (!/^[a-f0-9]+$/.test(encoded)) throw new BerthError('invalid-argument', 'INVALID_DIGEST', 'invalid checksum digest format')
  return { algorithm: known, encoded }
}

export function isDigest(value: string): boolean {
  try {
    parseDigest(value)
    return true
  } catch {
    return false
  }
}

/** The digest of bytes, or of a string's UTF-8. */
export function digestOf(content: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(content).digest('hex')}`
}

export interface ExpectedContent {
  digest: string
  /** Bytes. Not checked when absent. */
  size?: number | undefined
}

/**
 * Passes a stream on and checks it on the way. Ends without an error only if the content was exactly what was expected, and never passes on more than `size` bytes.
 * @throws `data-loss` for other, missing or surplus bytes; `invalid-argument` for a digest that is none, before the first byte.
 */
export async function* verified(source: AsyncIterable<Uint8Array>, { digest, size }: ExpectedContent): AsyncGenerator<Uint8Array, void, undefined> {
  const { algorithm } = parseDigest(digest)
  const hash = createHash(algorithm)
  let received = 0
  for await (const chunk of source) {
    received += chunk.length
    if (size !== undefined && received > size) throw mismatch(digest, `more than the expected ${size} bytes`)
    hash.update(chunk)
    yield chunk
  }
  if (size !== undefined && received < size) throw mismatch(digest, `${received} of ${size} bytes`)
  const actual = `${algorithm}:${hash.digest('hex')}`
  if (actual !== digest) throw mismatch(digest, `content has digest ${actual}`)
}

function mismatch(digest: string, what: string): BerthError {
  return new BerthError('data-loss', 'DIGEST_MISMATCH', `content of ${digest} could not be verified: ${what}`)
}
