/**
 * The vocabulary of OCI and Docker images: names, digests, documents, platforms. It reads and writes no file and no socket.
 *
 * @example
 * formatReference(withDefaultTag(parseReference('busybox'))) // docker.io/library/busybox:latest
 */
export { attestedDigest, isAttestation } from './attestation.ts'
export { chainId, chainIds } from './chain-id.ts'
export { type DigestAlgorithm, digestOf, type ExpectedContent, isDigest, parseDigest, type ParsedDigest, verified } from './digest.ts'
export type { Descriptor, Healthcheck, ImageConfig, ImageHistory, ImageIndex, ImageManifest, ImageRunConfig } from './image.ts'
export {
  type Compression,
  compressionOf,
  isConfigType,
  isForeignLayerType,
  isIndexType,
  isLayerType,
  isManifestType,
  mediaTypes,
  sniffCompression,
} from './media-types.ts'
export { type ManifestOrIndex, maxDocumentSize, parseConfig, parseIndex, parseManifest, parseManifestOrIndex } from './parse-image.ts'
export { formatPlatform, hostPlatform, matchesPlatform, normalizePlatform, parsePlatform, type Platform, selectPlatform } from './platform.ts'
export {
  familiarReference,
  familiarRepository,
  formatReference,
  isTag,
  parseReference,
  type Reference,
  repositoryOf,
  withDefaultTag,
} from './reference.ts'
