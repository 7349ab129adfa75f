import { describe, expect, it } from 'vitest'
import { chainId, chainIds } from './chain-id.ts'
import { digestOf } from './digest.ts'
import { compressionOf, isForeignLayerType, isLayerType, mediaTypes, sniffCompression } from './media-types.ts'
import { maxDocumentSize, parseConfig, parseIndex, parseManifest, parseManifestOrIndex } from './parse-image.ts'

const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const digest = digestOf('x')
const descriptor = { mediaType: mediaTypes.ociLayerGzip, digest, size: 1 }
const manifest = { schemaVersion: 2, config: { ...descriptor, mediaType: mediaTypes.ociConfig }, layers: [descriptor] }
const index = { schemaVersion: 2, manifests: [{ ...descriptor, mediaType: mediaTypes.ociManifest, platform: { os: 'linux', architecture: 'amd64' } }] }
const config = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [digest] } }

describe('manifests and indexes', () => {
  it('are told apart', () => {
    expect(parseManifestOrIndex(json(manifest))).toEqual({ kind: 'manifest', manifest })
    expect(parseManifestOrIndex(json(index))).toEqual({ kind: 'index', index })
    expect(parseManifest(json(manifest), mediaTypes.dockerManifest)).toEqual(manifest)
    expect(parseIndex(json(index), mediaTypes.dockerIndex)).toEqual(index)
    expect(() => parseManifest(json(index))).toThrow('is an index')
    expect(() => parseIndex(json(manifest))).toThrow('is a manifest')
  })

  it('are refused when they could be taken for either (CVE-2021-41190)', () => {
    expect(() => parseManifestOrIndex(json({ ...manifest, ...index }))).toThrow('must not stand beside')
    expect(() => parseManifestOrIndex(json({ ...manifest, mediaType: mediaTypes.ociIndex }))).toThrow('index.manifests: is missing')
    expect(() => parseManifestOrIndex(json({ ...manifest, mediaType: mediaTypes.ociManifest }), mediaTypes.ociIndex)).toThrow('although it came as')
  })

  it.each([
    ['manifest: must be an object', []],
    ['manifest.config: is missing', { ...manifest, config: undefined }],
    ['manifest.layers: must be a list', { ...manifest, layers: {} }],
    ['manifest.layers[0].digest: must be a digest', { ...manifest, layers: [{ ...descriptor, digest: 'sha256:../../x' }] }],
    ['manifest.layers[0].size: must not be negative', { ...manifest, layers: [{ ...descriptor, size: -1 }] }],
    ['manifest.layers[0].size: must be an integer', { ...manifest, layers: [{ ...descriptor, size: 1e300 }] }],
    ['manifest.layers[0].size: must be an integer', { ...manifest, layers: [{ ...descriptor, size: '1' }] }],
    ['manifest.layers[0].mediaType: must be a media type', { ...manifest, layers: [{ ...descriptor, mediaType: 'x' }] }],
    ['manifest.config.urls[0]: must be a string', { ...manifest, config: { ...descriptor, urls: [1] } }],
    ['manifest.annotations["a"]: must be a string', { ...manifest, annotations: { a: {} } }],
    ['manifest.schemaVersion: must be 2', { ...manifest, schemaVersion: 3 }],
    ['text/plain is not an image manifest', { ...manifest, mediaType: 'text/plain' }],
  ])('are refused with the field named: %s', (message, value) => {
    expect(() => parseManifestOrIndex(json(value))).toThrow(expect.objectContaining({ kind: 'invalid-argument', message: expect.stringContaining(message) as string }))
  })

  it('are refused when they are no JSON, no UTF-8, too large or schema 1', () => {
    expect(() => parseManifest(Buffer.from('{'))).toThrow('manifest: is not JSON')
    expect(() => parseManifest(Buffer.from([0x22, 0xff, 0x22]))).toThrow('manifest: is not JSON')
    expect(() => parseManifest(Buffer.alloc(maxDocumentSize + 1, ' '))).toThrow('more than the limit')
    expect(() => parseManifest(json({ schemaVersion: 1 }))).toThrow(expect.objectContaining({ kind: 'not-implemented' }))
  })

  it('leave prototypes alone', () => {
    const parsed = parseManifest(Buffer.from(JSON.stringify(manifest).replace('{', '{"__proto__":{"layers":1},"annotations":{"__proto__":"x"},')))
    expect(Object.keys(parsed.annotations ?? {})).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype)
  })
})

describe('configs', () => {
  it('keep what OCI and Docker say in them', () => {
    const run = {
      User: '1:1', ExposedPorts: { '80/tcp': {} }, Env: ['A=b'], Entrypoint: ['/x'], Cmd: ['y'], Volumes: { '/v': {} }, WorkingDir: '/w', Labels: { a: 'b' },
      StopSignal: 'SIGINT', OnBuild: ['RUN x'], Shell: ['/bin/ash', '-c'], Healthcheck: { Test: ['CMD', 'x'], Interval: 30_000_000_000, Retries: 3 }, StopTimeout: 5,
    }
    const whole = { ...config, created: '2024-01-01T00:00:00Z', config: run, history: [{ created_by: 'x', empty_layer: true }], docker_version: '20.10' }
    expect(parseConfig(json(whole))).toEqual(whole)
  })

  it('take null for absent, as Go writes it', () => {
    expect(parseConfig(json({ ...config, history: null, config: { Cmd: null, Volumes: null, Labels: null, ExposedPorts: { '1/tcp': null } } }))).toEqual({
      ...config, config: { ExposedPorts: { '1/tcp': {} } },
    })
  })

  it.each([
    ['config.rootfs: is missing', { ...config, rootfs: null }],
    ['config.rootfs.diff_ids[0]: must be a digest', { ...config, rootfs: { type: 'layers', diff_ids: ['x'] } }],
    ['config.rootfs.type: must be "layers"', { ...config, rootfs: { type: 'other', diff_ids: [] } }],
    ['config.config.Env[1]: must be a string', { ...config, config: { Env: ['a', 1] } }],
    ['config.config.Healthcheck.Retries: must be an integer', { ...config, config: { Healthcheck: { Retries: 1.5 } } }],
  ])('are refused with the field named: %s', (message, value) => {
    expect(() => parseConfig(json(value))).toThrow(message)
  })
})

describe('layers', () => {
  it('have their compression in the media type, and in their first bytes', () => {
    expect(compressionOf(mediaTypes.dockerLayerGzip)).toBe('gzip')
    expect(compressionOf(mediaTypes.ociLayerZstd)).toBe('zstd')
    expect(compressionOf(mediaTypes.ociLayer)).toBe('none')
    expect(compressionOf('text/plain')).toBeUndefined()
    expect(isForeignLayerType(mediaTypes.dockerForeignLayerGzip)).toBe(true)
    expect(isLayerType(mediaTypes.ociConfig)).toBe(false)
    expect(sniffCompression(Buffer.from([0x1f, 0x8b, 8, 0]))).toBe('gzip')
    expect(sniffCompression(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))).toBe('zstd')
    expect(sniffCompression(Buffer.from([0x5f, 0x2a, 0x4d, 0x18]))).toBe('zstd')
    expect(sniffCompression(Buffer.alloc(0))).toBe('none')
  })

  it('have a chainID', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((text) => digestOf(text)) as [string, string, string]
    expect(chainId([])).toBeUndefined()
    expect(chainId([a])).toBe(a)
    expect(chainIds([a, b, c])).toEqual([a, digestOf(`${a} ${b}`), digestOf(`${digestOf(`${a} ${b}`)} ${c}`)])
  })
})
