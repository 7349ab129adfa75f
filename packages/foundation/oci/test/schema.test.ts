import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf, mediaTypes, parseConfig, parseIndex, parseManifest } from '../src/index.ts'
import { ociSchema } from './oci-schema.ts'

/*
 * What is read here is what the specification's schemas accept, but for two short lists.
 *
 * Refused although a schema accepts it, by the message that says so:
 */
const refusedBesides = [
  // The schemas leave the algorithms open and do not look at a digest's length; a config's diffIDs may be any string for them.
  /must be a digest/,
  // Numbers up to 2^63 are not all numbers of JavaScript. No blob has 2^53 bytes.
  /size: must be an integer/,
  // The size of an index's entry may be negative for its schema.
  /size: must not be negative/,
  // A manifest's own media type may be anything for its schema, and it may be an index besides (CVE-2021-41190).
  /is not an image manifest or index/,
  /although it came as/,
  /must not stand beside/,
  // Fields that one schema knows and another does not are checked wherever they stand: `platform` of a descriptor in a manifest, `data` and `artifactType` in an index.
  /\.(platform|data|artifactType)\b.*: (must be|is missing)/,
  // Docker's fields of a config, which no schema knows.
  /\.(Hostname|Domainname|AttachStd\w+|Tty|OpenStdin|StdinOnce|Image|NetworkDisabled|MacAddress|OnBuild|StopTimeout|Shell|Healthcheck|docker_version|container|container_config)\b.*: must be/,
  // The schemas look at no entry of a map whose key is empty or a line break.
  /\["(\\n|\\r|\\u2028|\\u2029|[\u2028\u2029])*"\]: must be/,
]

/** Accepted although the schemas refuse it, and what the schemas want in its place. */
function asTheSchemasWant(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    // Docker's images of no layer at all.
    if (key === 'layers' && value.length === 0) return [descriptor(mediaTypes.ociLayer)]
    return key === 'urls' ? value.map(() => 'https://example.org') : value.map((each) => asTheSchemasWant(each))
  }
  // Dates, URLs and the types of artifacts are texts that are passed on as they are.
  if (key === 'created' && typeof value === 'string') return '2024-01-01T00:00:00Z'
  if (key === 'artifactType' && typeof value === 'string') return 'application/x.y'
  if (typeof value !== 'object' || value === null) return value
  // Sets of ports and volumes, of which the keys alone count.
  if (key === 'ExposedPorts' || key === 'Volumes') return Object.fromEntries(Object.keys(value).map((each) => [each, {}]))
  // A field that is null is one that is not there, as Go writes it.
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null).map(([name, each]) => [name, asTheSchemasWant(each, name)]))
}

const digest = digestOf('x')
const descriptor = (mediaType: string) => ({ mediaType, digest, size: 1 })

const text = fc.string({ maxLength: 8 })
const texts = fc.array(text, { maxLength: 3 })
const textMap = fc.dictionary(fc.string({ minLength: 1, maxLength: 5, unit: fc.constantFrom('a', 'b', '/', '.') }), text, { maxKeys: 3 })
const keySet = fc.dictionary(fc.constantFrom('80/tcp', '/data', '53/udp'), fc.constant({}), { maxKeys: 3 })
const date = fc.constantFrom('2024-01-01T00:00:00Z', '2024-01-01T00:00:00.123456789+02:00')
const aDigest = fc.constantFrom(digest, digestOf('y'), digestOf('z', 'sha512'), digestOf('z', 'sha384'))
const platform = fc.record({ os: text, architecture: text, variant: text, 'os.version': text, 'os.features': texts }, { requiredKeys: ['os', 'architecture'] })
const aDescriptor = fc.record(
  {
    mediaType: fc.constantFrom(...Object.values(mediaTypes), 'application/vnd.in-toto+json'), digest: aDigest, size: fc.maxSafeNat(), urls: fc.array(fc.webUrl(), { maxLength: 2 }), annotations: textMap,
    data: fc.base64String(), artifactType: fc.constant('application/x.y'), platform,
  },
  { requiredKeys: ['mediaType', 'digest', 'size'] },
)
const manifest = fc.record(
  { schemaVersion: fc.constant(2), mediaType: fc.constantFrom(mediaTypes.ociManifest, mediaTypes.dockerManifest), artifactType: fc.constant('application/x.y'), config: aDescriptor, layers: fc.array(aDescriptor, { minLength: 1, maxLength: 3 }), subject: aDescriptor, annotations: textMap },
  { requiredKeys: ['schemaVersion', 'config', 'layers'] },
)
const index = fc.record(
  { schemaVersion: fc.constant(2), mediaType: fc.constantFrom(mediaTypes.ociIndex, mediaTypes.dockerIndex), artifactType: fc.constant('application/x.y'), manifests: fc.array(aDescriptor, { maxLength: 3 }), subject: aDescriptor, annotations: textMap },
  { requiredKeys: ['schemaVersion', 'manifests'] },
)
const runConfig = fc.record(
  { User: text, ExposedPorts: keySet, Env: texts, Entrypoint: texts, Cmd: texts, Volumes: keySet, WorkingDir: text, Labels: textMap, StopSignal: text, ArgsEscaped: fc.boolean(), Shell: texts, StopTimeout: fc.nat(), Healthcheck: fc.record({ Test: texts, Retries: fc.nat() }) },
  { requiredKeys: [] },
)
const config = fc.record(
  {
    architecture: text, os: text, variant: text, 'os.version': text, 'os.features': texts, created: date, author: text, config: runConfig,
    rootfs: fc.record({ type: fc.constant('layers'), diff_ids: fc.array(aDigest, { maxLength: 3 }) }),
    history: fc.array(fc.record({ created: date, author: text, created_by: text, comment: text, empty_layer: fc.boolean() }, { requiredKeys: [] }), { maxLength: 3 }),
    docker_version: text,
  },
  { requiredKeys: ['architecture', 'os', 'rootfs'] },
)

/** A document with one place, picked by numbers, that holds something else or is gone. */
const strange = fc.oneof(fc.constantFrom(null, '', 'x', 0, -1, 1.5, 2 ** 60, true, [], {}, [null], { a: null }, { '': 1 }, 'sha256:x', 'md5:0123', 'a/b'), fc.jsonValue({ maxDepth: 1 }), fc.constant(undefined))
function spoil(document: unknown, path: readonly number[], value: unknown): unknown {
  const [at, ...rest] = path
  if (at === undefined || typeof document !== 'object' || document === null || Object.keys(document).length === 0) return value
  const keys = Object.keys(document)
  const key = keys[at % keys.length]!
  const inner = rest.length === 0 ? value : spoil((document as Record<string, unknown>)[key], rest, value)
  return Array.isArray(document) ? document.map((each: unknown, position) => (String(position) === key ? inner : each)) : { ...document, [key]: inner }
}

describe.each([
  ['manifest', manifest, (bytes: Uint8Array) => parseManifest(bytes, undefined)],
  ['index', index, (bytes: Uint8Array) => parseIndex(bytes, undefined)],
  ['config', config, parseConfig],
] as const)('%s', (name, documents: fc.Arbitrary<object>, parse: (bytes: Uint8Array) => unknown) => {
  const schema = ociSchema(name)
  const read = (document: unknown) => {
    try {
      return { value: parse(Buffer.from(JSON.stringify(document))) }
    } catch (error) {
      return { message: (error as Error).message }
    }
  }

  it('is read as its schema says', () => {
    fc.assert(fc.property(documents, (document) => {
      expect({ isValid: schema(document), errors: schema.errors }).toEqual({ isValid: true, errors: null })
      expect(read(document)).toEqual({ value: document })
    }), { numRuns: 200 })
  })

  it('is refused where its schema refuses it, and elsewhere only where the lists above say so', () => {
    fc.assert(fc.property(documents, fc.array(fc.nat(20), { minLength: 1, maxLength: 5 }), strange, (document, path, value) => {
      const spoiled = JSON.parse(JSON.stringify(spoil(document, path, value) ?? null)) as unknown
      const { message } = read(spoiled)
      const isAgreed = schema(spoiled) ? message === undefined || refusedBesides.some((reason) => reason.test(message)) : message !== undefined || schema(asTheSchemasWant(spoiled))
      expect(isAgreed, `${message ?? JSON.stringify(schema.errors)}: ${JSON.stringify(spoiled)}`).toBe(true)
    }), { numRuns: 1000 })
  })
})
