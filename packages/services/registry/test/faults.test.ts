import { randomBytes } from 'node:crypto'
import { digestOf } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ProgrammedFaults } from '../src/testing.ts'
import { RegistryHarness } from './registry-harness.ts'

const content = randomBytes(600_000)
const digest = digestOf(content)
const path = `/v2/a/blobs/${digest}`

let harness: RegistryHarness
let faults: ProgrammedFaults

beforeEach(async () => {
  faults = new ProgrammedFaults()
  harness = await RegistryHarness.start({ faults })
  await harness.putBlob('a', content)
})
afterEach(() => harness[Symbol.asyncDispose]())

const blob = { method: 'GET', target: 'blob' } as const
const get = async (headers: Record<string, string> = {}) => {
  const response = await harness.request('GET', path, { headers })
  return { response, bytes: Buffer.from(await response.arrayBuffer()) }
}

/** Bytes that came before the connection broke. */
async function broken(response: Response): Promise<number> {
  let bytes = 0
  const reading = (async () => {
    for await (const piece of response.body!) bytes += (piece as Uint8Array).length
  })()
  await expect(reading).rejects.toThrow(/terminated|aborted/)
  return bytes
}

describe('a programmed fault', () => {
  it('happens as often as it was told, to the requests that are meant', async () => {
    faults.next(blob, { kind: 'status', status: 503, headers: { 'Retry-After': '1' } }, { times: 2 })
    expect((await harness.request('HEAD', path)).status).toBe(200)
    const refused = await harness.request('GET', path)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await harness.refusal('GET', path)).toBe('503 UNKNOWN')
    expect(faults.pending).toBe(0)
    expect((await get()).bytes.equals(content)).toBe(true)
    faults.always({ path: /\/tags\// }, { kind: 'status', status: 429 })
    expect(await harness.refusal('GET', '/v2/a/tags/list')).toBe('429 TOOMANYREQUESTS')
    expect(await harness.refusal('GET', '/v2/a/tags/list')).toBe('429 TOOMANYREQUESTS')
    faults.clear()
    expect(await harness.refusal('GET', '/v2/a/tags/list')).toBe('404 NAME_UNKNOWN')
  })

  it('cuts an answer', async () => {
    faults.next(blob, { kind: 'cut', after: 300_000 })
    const response = await harness.request('GET', path)
    expect(response.headers.get('content-length')).toBe('600000')
    expect(await broken(response)).toBe(300_000)
  })

  it('cuts an upload, of which the beginning is kept', async () => {
    const location = await harness.begin('a')
    faults.next({ method: 'PATCH' }, { kind: 'cut', after: 100_000 })
    await expect(harness.request('PATCH', location, { body: content })).rejects.toThrow('fetch failed')
    expect((await harness.request('GET', location)).headers.get('range')).toBe('0-99999')
    const end = await harness.request('PUT', `${location}?digest=${digest}`, { body: content.subarray(100_000), headers: { 'Content-Range': '100000-599999' } })
    expect(end.status).toBe(201)
  })

  it('stalls until the client goes', async () => {
    faults.next(blob, { kind: 'stall', after: 1000 })
    const abort = new AbortController()
    const response = await fetch(`http://${harness.registry.address}${path}`, { signal: abort.signal })
    const reader = response.body!.getReader()
    expect((await reader.read()).value).toHaveLength(1000)
    const next = reader.read()
    abort.abort(new Error('no patience'))
    await expect(next).rejects.toThrow('no patience')
  })

  it('slows an answer down, which is whole', async () => {
    faults.next(blob, { kind: 'slow', bytesPerSecond: 6_000_000 })
    expect((await get()).bytes.equals(content)).toBe(true)
  })

  it('ends an answer early, as if it were whole', async () => {
    faults.next(blob, { kind: 'truncated', after: 1000 })
    const { response, bytes } = await get()
    expect([response.status, bytes.equals(content.subarray(0, 1000))]).toEqual([200, true])
  })

  it('changes bytes', async () => {
    faults.next(blob, { kind: 'corrupt' })
    const { bytes } = await get()
    expect([bytes.length, bytes.equals(content), bytes.subarray(1).equals(content.subarray(1))]).toEqual([600_000, false, true])
  })

  it('names another digest', async () => {
    faults.next({ ...blob, method: 'HEAD' }, { kind: 'wrong-digest', digest: digestOf('x') })
    expect((await harness.request('HEAD', path)).headers.get('docker-content-digest')).toBe(digestOf('x'))
  })

  it('does not hear a range', async () => {
    faults.next(blob, { kind: 'ignored-range' })
    const { response, bytes } = await get({ Range: 'bytes=5-9' })
    expect([response.status, bytes.length]).toEqual([200, 600_000])
    expect((await get({ Range: 'bytes=5-9' })).bytes).toEqual(content.subarray(5, 10))
  })

  it('sends the client elsewhere', async () => {
    faults.next(blob, { kind: 'redirect', to: 'http://127.0.0.1:1' })
    const { response } = await get()
    expect([response.status, response.headers.get('location')]).toEqual([307, `http://127.0.0.1:1${path}`])
    faults.next(blob, { kind: 'redirect', to: 'http://127.0.0.1:1/bucket/object?signature=x' })
    expect((await get()).response.headers.get('location')).toBe('http://127.0.0.1:1/bucket/object?signature=x')
  })
})
