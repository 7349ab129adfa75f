import { randomBytes } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LayerWorkers, tarOf } from '../src/index.ts'

let directory: string
let workers: LayerWorkers

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-workers-'))
  workers = new LayerWorkers({ threads: 1 })
})
afterEach(async () => {
  await workers[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const file = (content: Buffer) => {
  const path = join(directory, `file-${randomBytes(4).toString('hex')}`)
  writeFileSync(path, content)
  return path
}
const root = (name: string) => {
  const path = join(directory, name)
  mkdirSync(path, { recursive: true })
  return path
}
/** A file of which the first half may be read, and the rest when `finish` was called. */
const growing = (whole: Buffer) => {
  const path = file(whole.subarray(0, whole.length >> 1))
  const { promise, resolve } = Promise.withResolvers<void>()
  async function* growth() {
    yield whole.length >> 1
    await promise
    yield whole.length
  }
  return { path, growth: growth(), finish: () => (appendFileSync(path, whole.subarray(whole.length >> 1)), resolve()) }
}

describe('LayerWorkers with one thread', () => {
  it('packs through a mount of its own that is read-only and opens no device: nothing of a running container is touched', async () => {
    const path = join(root('packed'), 'file')
    writeFileSync(path, 'content')
    utimesSync(path, 1, 2) // a reading would set the first, as it is before the second
    const packed: Uint8Array[] = []
    for await (const batch of workers.pack(root('packed'), { whiteouts: 'none' })) packed.push(batch)
    expect(Buffer.concat(packed).includes('content')).toBe(true)
    expect(statSync(path).atimeMs).toBe(1000)
  })

  it('does other work while a layer waits for its bytes, and while a reader of a tar or of changes takes its time', async () => {
    const { path, growth, finish } = growing(tarOf([{ name: 'big', content: randomBytes(1_000_000) }]))
    const waiting = workers.apply({ path, growth, root: root('slow'), whiteouts: 'overlay' })
    writeFileSync(join(root('packed'), 'large'), randomBytes(2_000_000))
    const packing = workers.pack(root('packed'), { whiteouts: 'none' })
    let packed = (await packing.next()).value!.length
    for (let index = 0; index < 1200; index++) writeFileSync(join(root('many'), `file-${index}`), '')
    const changing = workers.changes(root('many'), [])
    const first = (await changing.next()).value!
    await workers.apply({ path: file(tarOf([{ name: 'small' }])), root: root('quick'), whiteouts: 'overlay' })
    expect(readdirSync(root('quick'))).toEqual(['small'])
    for await (const chunk of packing) packed += chunk.length
    expect(packed).toBeGreaterThan(2_000_000)
    let count = first.length
    for await (const batch of changing) count += batch.length
    expect(count).toBe(1200)
    finish()
    await waiting
    expect(readdirSync(root('slow'))).toEqual(['big'])
  })

  it('gives up a layer that waits for its turn, and one that waits for its bytes', async () => {
    const stalled = [1, 2, 3].map((index) => growing(tarOf([{ name: `${index}`, content: randomBytes(100_000) }])))
    const aborting = new AbortController()
    const applying = stalled.map(({ path, growth }, index) => workers.apply({ path, growth, root: root(`${index}`), whiteouts: 'overlay' }, { signal: aborting.signal }))
    const whole = file(tarOf([{ name: 'large', content: Buffer.alloc(20_000_000) }]))
    const queued = Array.from({ length: 6 }, (_, index) => workers.apply({ path: whole, root: root(`queued-${index}`), whiteouts: 'overlay' }, { signal: aborting.signal }))
    aborting.abort(new Error('given up'))
    for (const result of await Promise.allSettled([...applying, ...queued])) expect(result).toMatchObject({ status: 'rejected', reason: { message: 'given up' } })
    expect(existsSync(join(directory, 'queued-5/large'))).toBe(false)
    await workers.apply({ path: whole, root: root('after'), whiteouts: 'overlay' })
  })

  it('a bomb in gzip stops at its limit, with members one after the other too', async () => {
    const zeros = gzipSync(Buffer.alloc(8 << 20))
    const bomb = file(Buffer.concat([gzipSync(tarOf([{ name: 'f', content: Buffer.alloc(1 << 20) }]).subarray(0, 1 << 20)), ...Array.from({ length: 64 }, () => zeros)]))
    let seen = 0
    const applying = workers.apply({ path: bomb, root: root('bomb'), whiteouts: 'overlay', maxBytes: 16 << 20 }, { onProgress: (bytes) => (seen = bytes) })
    await expect(applying).rejects.toMatchObject({ kind: 'resource-exhausted' })
    expect(seen).toBeLessThan(18 << 20)
  })

  it('knows a layer whose checksum is broken, also when the tar in it is whole', async () => {
    const tar = tarOf([{ name: 'file', content: 'x' }])
    const header = gzipSync('').subarray(0, 10)
    const forged = Buffer.concat([header, deflateRawSync(tar), Buffer.alloc(8)])
    await expect(workers.apply({ path: file(forged), root: root('forged'), whiteouts: 'overlay' })).rejects.toMatchObject({ kind: 'data-loss', code: 'LAYER_CORRUPT' })
  })

  it('refuses what waits when it is disposed', async () => {
    const { path, growth } = growing(tarOf([{ name: 'big', content: randomBytes(1_000_000) }]))
    const waiting = workers.apply({ path, growth, root: root('slow'), whiteouts: 'overlay' })
    const settled = Promise.allSettled([waiting])
    await workers.usage(root('slow'))
    await workers[Symbol.asyncDispose]()
    expect(await settled).toMatchObject([{ status: 'rejected', reason: { kind: 'cancelled' } }])
    await expect(workers.usage(root('slow'))).rejects.toMatchObject({ kind: 'cancelled' })
  })
})
