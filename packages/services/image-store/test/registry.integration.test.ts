import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { tarOf } from '@berth/layer-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ProgressMessage } from '../src/index.ts'
import { type RegistryHarness, startHarness } from './registry-harness.ts'

const empty = { content: [], ingest: [], snapshots: [] }
const noise = Array.from({ length: 20_000 }, (_, index) => createHash('sha512').update(String(index)).digest('base64')).join('')
const tar = tarOf([{ name: 'bin/' }, { name: 'bin/sh', content: 'shell', mode: 0o755 }, { name: 'large', content: noise }])
let harness: RegistryHarness

beforeEach(async () => {
  harness = await startHarness()
})
afterEach(() => harness[Symbol.asyncDispose]())

const statuses = (messages: ProgressMessage[]) => messages.map(({ status }) => status)
/** The distinct statuses of one layer, in order. */
const ofLayers = (messages: ProgressMessage[]) => [...new Set(messages.filter(({ id }) => /^[0-9a-f]{12}$/.test(id ?? '')).map(({ status }) => status))]
const layerRequests = () => harness.asked.filter((line) => line.startsWith('GET') && line.includes('/blobs/'))

/** Publishes the image and forgets it here. Answers the digest of its layer. */
async function publish(image = 'app', archive: Uint8Array = tar): Promise<string> {
  await harness.import(image, archive)
  const uploads = harness.asked.length
  await harness.push(image)
  const [layer = ''] = harness.asked.slice(uploads).filter((line) => line.startsWith('PUT') && line.includes('digest='))
  await harness.store.remove(`${harness.address}/${image}`, { force: false })
  expect(await harness.contents()).toEqual(empty)
  harness.asked.length = 0
  return decodeURIComponent(/digest=([^& ]+)/.exec(layer)![1]!)
}

describe('an image', () => {
  it.each([
    ['plain', tar],
    ['gzip, as docker save has them', gzipSync(tar)],
    ['zstd', zstdCompressSync(tar)],
  ])('of a %s archive goes to the registry and comes back', async (_, archive) => {
    await publish('app', archive)
    const messages = await harness.pull('app')
    const { chainId, config } = await harness.store.resolve(`${harness.address}/app`)
    expect(harness.snapshotter.read(chainId!)).toEqual({ 'bin/': '', 'bin/sh': 'shell', large: noise })
    expect(config.config?.Cmd).toEqual(['sh'])

    // The words by which docker's clients draw.
    expect(statuses(messages)[0]).toBe('Pulling from app')
    expect(ofLayers(messages)).toEqual(['Pulling fs layer', 'Downloading', 'Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete'])
    expect(messages.find(({ status }) => status === 'Downloading')).toMatchObject({ progressDetail: { current: expect.any(Number), total: expect.any(Number) } })
    expect(messages.at(-2)!.status).toMatch(/^Digest: sha256:[0-9a-f]{64}$/)
    expect(messages.at(-1)!.status).toBe(`Status: Downloaded newer image for ${harness.address}/app:latest`)
    expect(statuses(await harness.pull('app')).at(-1)).toBe(`Status: Image is up to date for ${harness.address}/app:latest`)
  })

  it('is pushed once, and taken over into another repository', async () => {
    await harness.import('app', tar)
    expect(ofLayers(await harness.push('app'))).toEqual(['Preparing', 'Pushing', 'Pushed'])
    const again = await harness.push('app')
    expect(ofLayers(again)).toEqual(['Preparing', 'Layer already exists'])
    expect(again.at(-1)).toMatchObject({ aux: { Tag: 'latest', Digest: expect.stringMatching(/^sha256:/), Size: expect.any(Number) } })
    await harness.store.tag(`${harness.address}/app`, { repo: `${harness.address}/other`, tag: 'latest' })
    expect(ofLayers(await harness.push('other'))).toEqual(['Preparing', 'Mounted from app'])
    expect(harness.asked.filter((line) => line.startsWith('PUT') && line.includes('digest='))).toHaveLength(3) // the layer once, the config for each
  })

  it('is pulled by many at the same time with one download, and by those that stay when one goes', async () => {
    const layer = await publish()
    const gate = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    let isHeld = false
    harness.intercept = (request, response) => {
      if (isHeld || !request.url!.includes(layer)) return false
      isHeld = true
      reached.resolve()
      void gate.promise.then(() => {
        harness.intercept = undefined
        response.writeHead(307, { Location: request.url! }).end()
      })
      return true
    }
    const leaving = new AbortController()
    const pulls = [harness.pull('app', leaving.signal), harness.pull('app'), harness.pull('app')]
    const left = pulls[0]!.catch((error: Error) => error.message)
    await reached.promise
    leaving.abort(new Error('gone'))
    expect(await left).toBe('gone')
    gate.resolve()
    await Promise.all(pulls.slice(1))
    // Held, and then let go on: never a second download beside the first.
    expect(layerRequests().filter((line) => line.includes(layer))).toHaveLength(2)
    expect(harness.snapshotter.read((await harness.store.resolve(`${harness.address}/app`)).chainId!)).toHaveProperty('large', noise)
    await harness.store.remove(`${harness.address}/app`, { force: false })
    expect(await harness.contents()).toEqual(empty)
  })

  it('whose pull is cancelled leaves no image, snapshot or blob', async () => {
    const layer = await publish()
    const reached = Promise.withResolvers<void>()
    harness.intercept = (request) => {
      if (!request.url!.includes(layer)) return false
      reached.resolve()
      return true
    }
    const leaving = new AbortController()
    const pulling = harness.pull('app', leaving.signal).catch((error: Error) => error.message)
    await reached.promise
    leaving.abort(new Error('gone'))
    expect(await pulling).toBe('gone')
    expect(harness.store.count()).toBe(0)
    const { content, snapshots, ingest } = await harness.contents()
    expect([content, snapshots]).toEqual([[], []])
    // The config, which the next pull need not fetch again.
    expect(ingest).toHaveLength(1)
  })

  it('whose pull was killed in the middle is gone on with where it was', async () => {
    const layer = await publish()
    const partial = join(harness.root, 'ingest', layer.replace(':', '-'))
    const missing = 1000
    harness.intercept = (request, response) => {
      if (!request.url!.endsWith(layer)) return false
      void fetch(`http://${harness.address}/v2/app/blobs/${layer}?whole`).then(async (whole) => {
        const bytes = Buffer.from(await whole.arrayBuffer())
        response.writeHead(200, { 'Content-Length': bytes.length }).write(bytes.subarray(0, -missing))
      })
      return true
    }
    await harness.store[Symbol.asyncDispose]()
    const child = fork(new URL('./killed-registry-pull.ts', import.meta.url), [harness.root, `${harness.address}/app`], { execArgv: ['--conditions=@berth/source'] })
    while (((await stat(partial).catch(() => undefined))?.size ?? 0) < 1) await new Promise((resolve) => setImmediate(resolve))
    child.kill('SIGKILL')
    await once(child, 'exit')
    harness.intercept = undefined
    await harness.reopen()
    expect((await harness.contents()).content).toEqual([])
    const kept = (await stat(partial)).size
    harness.asked.length = 0
    await harness.pull('app')
    expect(layerRequests()).toEqual([`GET /v2/app/blobs/${layer} bytes=${kept}-`])
    expect(harness.snapshotter.read((await harness.store.resolve(`${harness.address}/app`)).chainId!)).toHaveProperty('large', noise)
    expect((await harness.contents()).ingest).toEqual([])
  })
})

describe('a registry that', () => {
  const failing = async (kind: string, message: string | RegExp) => {
    await expect(harness.pull('app')).rejects.toMatchObject({ kind, message: expect.stringMatching(message) })
    expect(harness.store.count()).toBe(0)
    harness.intercept = undefined
    return harness.contents()
  }

  it('never answers is left', async () => {
    await harness[Symbol.asyncDispose]()
    harness = await startHarness({ patience: 200 })
    harness.intercept = () => true
    expect(await failing('deadline-exceeded', 'the registry does not answer')).toEqual(empty)
  })

  it('lies about a layer is found out, and nothing of the layer stays', async () => {
    const layer = await publish()
    const head = await fetch(`http://${harness.address}/v2/app/blobs/${layer}`, { method: 'HEAD' })
    harness.intercept = (request, response) => {
      if (!request.url!.includes(layer)) return false
      response.end(Buffer.alloc(Number(head.headers.get('content-length'))))
      return true
    }
    expect(await failing('data-loss', /could not be verified|layer content is not|cannot be decompressed/)).toEqual(empty)
    await harness.pull('app')
  })

  it('lies about the manifest is found out', async () => {
    await publish()
    harness.intercept = (request, response) => {
      if (!request.url!.includes('/manifests/')) return false
      response.writeHead(200, { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json', 'Docker-Content-Digest': `sha256:${'0'.repeat(64)}` }).end('{}')
      return true
    }
    expect(await failing('data-loss', 'manifest verification failed for digest')).toEqual(empty)
  })

  it('does not have the image says so as Docker does', async () => {
    expect(await failing('not-found', /^manifest for 127.*\/app:latest not found: manifest unknown: manifest unknown$/)).toEqual(empty)
  })

  it('refuses a push leaves the image here as it was', async () => {
    await harness.import('app', tar)
    harness.intercept = (request, response) => {
      if (request.method === 'HEAD') return false
      response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}')
      return true
    }
    await expect(harness.push('app')).rejects.toMatchObject({ kind: 'permission-denied', message: 'denied: requested access to the resource is denied' })
    expect(harness.store.count()).toBe(1)
  })
})
