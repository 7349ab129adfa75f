import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BerthError } from '@berth/core'
import { isDigest, parseDigest } from '@berth/oci'
import type { DigestAlgorithm } from './content-store.ts'

export const algorithms: readonly DigestAlgorithm[] = ['sha256', 'sha384', 'sha512']
/** What lies in `ingest/` under a name that begins so belongs to a call that is under way, and to nobody after a restart. */
export const temporaryPrefix = 'temporary-'
const keyPrefix = 'key-'
const maxNameBytes = 255

/** The files of a store: `content/<algorithm>/<hex>` is whole and was verified, `ingest/<name>` is on its way in. The names are the journal. */
export class ContentPaths {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  /** Makes what is missing. Answers with the directories in which a name may be new. */
  create(): string[] {
    for (const path of [...this.contentDirectories(), this.ingestDirectory]) mkdirSync(path, { recursive: true, mode: 0o700 })
    return [dirname(this.#root), this.#root, join(this.#root, 'content'), ...this.contentDirectories()]
  }

  contentDirectories(): string[] {
    return algorithms.map((algorithm) => join(this.#root, 'content', algorithm))
  }

  get ingestDirectory(): string {
    return join(this.#root, 'ingest')
  }

  /** Throws `invalid-argument` for what is no digest, so that no other path can be named. */
  blob(digest: string): string {
    const { algorithm, encoded } = parseDigest(digest)
    return join(this.#root, 'content', algorithm, encoded)
  }

  ingest(key: string): string {
    return join(this.ingestDirectory, ingestName(key))
  }

  temporary(id: string): string {
    return join(this.ingestDirectory, `${temporaryPrefix}${id}`)
  }
}

/** The file name of an ingest: `sha256-<hex>` for the fetch of a blob, else `key-` and the key, percent-encoded. */
export function ingestName(key: string): string {
  if (isDigest(key)) return key.replace(':', '-')
  const name = `${keyPrefix}${encoded(key)}`
  if (key === '' || name.length > maxNameBytes) throw new BerthError('invalid-argument', 'INGEST_KEY_INVALID', 'the key of an ingest must be between 1 and about 250 characters long')
  return name
}

/** The key behind a file name of `ingest/`; undefined for what is none. */
export function ingestKey(name: string): string | undefined {
  const digest = name.replace('-', ':')
  if (isDigest(digest)) return digest
  if (!name.startsWith(keyPrefix)) return undefined
  try {
    return decodeURIComponent(name.slice(keyPrefix.length))
  } catch {
    return undefined
  }
}

function encoded(key: string): string {
  try {
    return encodeURIComponent(key)
  } catch (error) {
    throw new BerthError('invalid-argument', 'INGEST_KEY_INVALID', 'the key of an ingest must be well-formed text', { cause: error })
  }
}
