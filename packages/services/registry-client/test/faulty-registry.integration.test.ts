import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, mediaTypes } from '@berth/oci'
import { type RunningRegistry, startRegistry } from '@berth/registry'
import { ProgrammedFaults, startTokenServer } from '@berth/registry/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { at, auth, blob, call, config, content, manifest, newClient, read } from './harness.ts'

let root: string
let faults: ProgrammedFaults
let registry: RunningRegistry

const once = (bytes: Uint8Array) => async function* () { yield bytes }

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-faulty-registry-'))
  faults = new ProgrammedFaults()
  registry = await startRegistry({ root, faults })
  const client = newClient()
  await client.putBlob(at(registry.address), blob, once(content), call)
  await client.putBlob(at(registry.address), { digest: digestOf(config), size: config.length }, once(config), call)
  await client.putManifest(at(registry.address), { bytes: Buffer.from(manifest), mediaType: mediaTypes.ociManifest }, call)
})
afterEach(async () => {
  await registry[Symbol.asyncDispose]()
  await rm(root, { recursive: true })
})

const getBlob = { method: 'GET', target: 'blob' } as const
const readDigest = async (options?: Parameters<typeof newClient>[0]) => digestOf(await read(newClient(options), registry.address))

describe('our registry', () => {
  it.each([
    ['refuses for a while', { kind: 'status', status: 503, headers: { 'Retry-After': '0' } }],
    ['cuts a blob', { kind: 'cut', after: 100_000 }],
    ['ends a blob too early', { kind: 'truncated', after: 100_000 }],
    ['stands still in the middle', { kind: 'stall', after: 100_000 }],
  ] as const)('that %s is asked for the rest', async (_, fault) => {
    faults.next(getBlob, fault, { times: 2 })
    expect(await readDigest({ idleTimeout: 300 })).toBe(blob.digest)
    expect(faults.pending).toBe(0)
  })

  it('that cuts a blob and hears no Range sends it once more', async () => {
    faults.next(getBlob, { kind: 'cut', after: 100_000 })
    faults.next(getBlob, { kind: 'ignored-range' })
    expect(await readDigest()).toBe(blob.digest)
  })

  it('that sends other content is found out, of blobs and manifests', async () => {
    faults.next(getBlob, { kind: 'corrupt' })
    await expect(readDigest()).rejects.toMatchObject({ kind: 'data-loss', code: 'DIGEST_MISMATCH' })
    faults.next({ target: 'manifest' }, { kind: 'wrong-digest', digest: digestOf('other') })
    await expect(newClient().manifest(at(registry.address), call)).rejects.toMatchObject({ kind: 'data-loss', code: 'DIGEST_MISMATCH' })
  })

  it('that is slow is waited for', async () => {
    faults.next(getBlob, { kind: 'slow', bytesPerSecond: 1_500_000 })
    expect(await readDigest({ idleTimeout: 5000 })).toBe(blob.digest)
  })

  it('that sends us elsewhere is followed', async () => {
    const other = await startRegistry({ root: join(root, 'other') })
    await newClient().putBlob(at(other.address), blob, once(content), call)
    faults.next(getBlob, { kind: 'redirect', to: `http://${other.address}` })
    expect(await readDigest()).toBe(blob.digest)
    await other[Symbol.asyncDispose]()
  })

  it('that breaks an upload gets the rest', async () => {
    const other = Buffer.alloc(700_000, 'other')
    faults.next({ method: 'PATCH', target: 'upload' }, { kind: 'cut', after: 50_000 }, { times: 2 })
    await newClient({ partSize: 200_000, retryDelay: 20 }).putBlob(at(registry.address), { digest: digestOf(other), size: other.length }, once(other), call)
    expect(faults.pending).toBe(0)
    expect(await newClient().hasBlob(at(registry.address), digestOf(other), call)).toBe(true)
  })
})

describe('our registry with tokens', () => {
  it('lets us in by password and by identity token, and again when tokens expire in the middle of a pull', async () => {
    await using tokens = await startTokenServer({ users: { me: 'hunter2' } })
    await registry[Symbol.asyncDispose]()
    registry = await startRegistry({ root, faults, access: tokens.access })
    const client = newClient()
    const { identityToken = '' } = await client.login({ ...auth, serveraddress: registry.address }, call)
    expect(identityToken).not.toBe('')
    await expect(client.login({ ...auth, password: 'hunter22', serveraddress: registry.address }, call)).rejects.toMatchObject({ kind: 'unauthenticated' })
    await expect(client.manifest(at(registry.address), call)).rejects.toMatchObject({ kind: 'unauthenticated' })
    expect(await client.catalog(registry.address, { ...call, auth })).toEqual(['app'])
    faults.next(getBlob, { kind: 'cut', after: 100_000 })
    let isExpired = false
    const parts: Uint8Array[] = []
    for await (const part of client.blob(at(registry.address), blob, { ...call, auth: { identitytoken: identityToken } })) {
      if (!isExpired) tokens.expire()
      isExpired = true
      parts.push(part)
    }
    expect(digestOf(Buffer.concat(parts))).toBe(blob.digest)
    expect(tokens.requests.filter(({ grantType }) => grantType === 'refresh_token').map(({ status }) => status)).toEqual([200, 200])
  })
})
