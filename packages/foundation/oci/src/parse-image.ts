import { BerthError, messageOf } from '@berth/core'
import { isDigest } from './digest.ts'
import type { Descriptor, Healthcheck, ImageConfig, ImageHistory, ImageIndex, ImageManifest, ImageRunConfig } from './image.ts'
import { arrayOf, boolean, exactly, integer, keySet, malformed, mapOf, natural, object, type Shape, string } from './json-shape.ts'
import { isIndexType, isManifestType, mediaTypes } from './media-types.ts'
import type { Platform } from './platform.ts'

/** Manifests, indexes and configs above this many bytes are refused: 4 MiB, as registries do. */
export const maxDocumentSize = 4 * 1024 * 1024

const strings = arrayOf(string)
const stringMap = mapOf(string)

const digest: Shape<string> = (value, field) => {
  if (!isDigest(string(value, field))) throw malformed(field, 'must be a digest such as sha256:…')
  return value as string
}

const mediaType: Shape<string> = (value, field) => {
  const name = '[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}'
  if (!new RegExp(`^${name}/${name}$`).test(string(value, field))) throw malformed(field, 'must be a media type')
  return value as string
}

const platform = object<Platform>({ os: string, architecture: string }, { variant: string, 'os.version': string, 'os.features': strings })

const descriptor = object<Descriptor>(
  { mediaType, digest, size: natural },
  { urls: strings, annotations: stringMap, data: string, artifactType: string, platform },
)

const manifestShape = object<ImageManifest>(
  { schemaVersion: exactly(2), config: descriptor, layers: arrayOf(descriptor) },
  { mediaType, artifactType: string, subject: descriptor, annotations: stringMap },
)

const indexShape = object<ImageIndex>(
  { schemaVersion: exactly(2), manifests: arrayOf(descriptor) },
  { mediaType, artifactType: string, subject: descriptor, annotations: stringMap },
)

const healthcheck = object<Healthcheck>(
  {},
  { Test: strings, Interval: integer, Timeout: integer, StartPeriod: integer, StartInterval: integer, Retries: integer },
)

const runConfig = object<ImageRunConfig>({}, {
  User: string,
  ExposedPorts: keySet,
  Env: strings,
  Entrypoint: strings,
  Cmd: strings,
  Volumes: keySet,
  WorkingDir: string,
  Labels: stringMap,
  StopSignal: string,
  ArgsEscaped: boolean,
  Hostname: string,
  Domainname: string,
  AttachStdin: boolean,
  AttachStdout: boolean,
  AttachStderr: boolean,
  Tty: boolean,
  OpenStdin: boolean,
  StdinOnce: boolean,
  Image: string,
  NetworkDisabled: boolean,
  MacAddress: string,
  OnBuild: strings,
  StopTimeout: integer,
  Shell: strings,
  Healthcheck: healthcheck,
})

const history = object<ImageHistory>({}, { created: string, author: string, created_by: string, comment: string, empty_layer: boolean })

const configShape = object<ImageConfig>(
  { architecture: string, os: string, rootfs: object<ImageConfig['rootfs']>({ type: exactly('layers'), diff_ids: arrayOf(digest) }, {}) },
  {
    variant: string,
    'os.version': string,
    'os.features': strings,
    created: string,
    author: string,
    config: runConfig,
    history: arrayOf(history),
    docker_version: string,
    container: string,
    container_config: runConfig,
  },
)

export type ManifestOrIndex = { kind: 'manifest'; manifest: ImageManifest } | { kind: 'index'; index: ImageIndex }

/**
 * Reads a manifest or an index, whichever it is.
 * @param expectedType The media type under which it came (its descriptor's, or the registry's Content-Type). A content that calls itself otherwise,
 *   or that could be taken for either, is refused: see CVE-2021-41190.
 * @throws `invalid-argument` with the field named; `not-implemented` for Docker's schema 1.
 */
export function parseManifestOrIndex(content: Uint8Array, expectedType?: string): ManifestOrIndex {
  const json = parseJson(content, 'manifest')
  const fields: Record<string, unknown> = typeof json === 'object' && json !== null ? { ...json } : {}
  const own = typeof fields['mediaType'] === 'string' ? fields['mediaType'] : undefined
  if (fields['schemaVersion'] === 1 || expectedType === mediaTypes.dockerManifestV1 || expectedType === mediaTypes.dockerManifestV1Signed) {
    throw new BerthError('not-implemented', 'MANIFEST_SCHEMA1', 'Docker image manifest version 2, schema 1 is not supported: push the image again with a current tool')
  }
  if (expectedType !== undefined && own !== undefined && own !== expectedType) {
    throw malformed('manifest.mediaType', `is ${own.slice(0, 128)}, although it came as ${expectedType.slice(0, 128)}`)
  }
  const type = own ?? expectedType
  const hasLayers = fields['layers'] !== undefined || fields['config'] !== undefined
  const hasManifests = fields['manifests'] !== undefined
  if (hasLayers && hasManifests) throw malformed('manifest.manifests', 'must not stand beside config or layers')
  if (type !== undefined && !isIndexType(type) && !isManifestType(type)) throw malformed('manifest.mediaType', `${type.slice(0, 128)} is not an image manifest or index`)
  if (type === undefined ? hasManifests : isIndexType(type)) return { kind: 'index', index: indexShape(json, 'index') }
  return { kind: 'manifest', manifest: manifestShape(json, 'manifest') }
}

/** Reads an image manifest. Throws as {@link parseManifestOrIndex}, also for an index. */
export function parseManifest(content: Uint8Array, expectedType?: string): ImageManifest {
  const parsed = parseManifestOrIndex(content, expectedType)
  if (parsed.kind === 'index') throw malformed('manifest.mediaType', 'is an index, not a manifest')
  return parsed.manifest
}

/** Reads an image index. Throws as {@link parseManifestOrIndex}, also for a manifest. */
export function parseIndex(content: Uint8Array, expectedType?: string): ImageIndex {
  const parsed = parseManifestOrIndex(content, expectedType)
  if (parsed.kind === 'manifest') throw malformed('index.mediaType', 'is a manifest, not an index')
  return parsed.index
}

/**
 * Reads an image config. Fields that are null are left out; fields that are not known are dropped (the stored bytes keep them).
 * @throws `invalid-argument` with the field named.
 */
export function parseConfig(content: Uint8Array): ImageConfig {
  return configShape(parseJson(content, 'config'), 'config')
}

function parseJson(content: Uint8Array, field: string): unknown {
  if (content.length > maxDocumentSize) throw malformed(field, `${content.length} bytes are more than the limit of ${maxDocumentSize}`)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
  } catch (error) {
    throw new BerthError('invalid-argument', 'MALFORMED_CONTENT', `${field}: is not JSON: ${messageOf(error).slice(0, 200)}`, { cause: error })
  }
}
