import { parseDigest } from '@berth/oci'

/** Where a blob lies in an OCI layout. Throws `invalid-argument` for what is no digest, so that no name leads elsewhere. */
export function blobPath(digest: string): string {
  const { algorithm, encoded } = parseDigest(digest)
  return `blobs/${algorithm}/${encoded}`
}

/** The digest that a name in an archive claims by being a blob's in an OCI layout. */
export function digestOfPath(path: string): string | undefined {
  const [, algorithm, encoded] = /^blobs\/(sha256|sha384|sha512)\/([a-f0-9]+)$/.exec(path) ?? []
  return algorithm === undefined ? undefined : `${algorithm}:${encoded}`
}
