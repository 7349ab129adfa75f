import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WorkerCalls, workerFile } from '@berth/core'
import { tarOf } from '@berth/layer-tar'
import { readMountInfo } from '@berth/linux'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ArchiveJobs } from '../src/archive-worker.ts'
import { collect, copies, namesIn, plain } from './archives.ts'
import { type RealFiles, realFiles } from './real-files.ts'

const never = new AbortController().signal
const forced = { force: true, volumes: true, link: false }

let world: RealFiles
beforeAll(async () => {
  world = await realFiles()
})
afterEach(() => world.clear())
afterAll(() => world[Symbol.asyncDispose]())

const containers = () => world.engine.runtime.containers
const { get, put, read } = copies(containers)
const statusOf = async (id: string) => (await containers().inspect(id, { size: false })).State?.Status
/** Descriptors of mount namespaces that this process holds. */
const heldNamespaces = () => execFileSync('sh', ['-c', `ls -l /proc/${process.pid}/fd | grep -c 'mnt:\\[' || true`], { encoding: 'utf8' }).trim()

/** An archive of one large file of which only the beginning has come until `release` is called. */
function halted(name: string) {
  const whole = tarOf([{ name, content: randomBytes(3_000_000) }])
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: stuck, resolve: isStuck } = Promise.withResolvers<void>()
  let isReturned = false
  async function* source() {
    try {
      yield whole.subarray(0, 2_000_000)
      isStuck()
      await released
      yield whole.subarray(2_000_000)
    } finally {
      isReturned = true
    }
  }
  return { source: source(), stuck, release, isReturned: () => isReturned }
}

const large = async (id: string) => put(id, '/', [{ name: 'large', content: randomBytes(5_000_000) }])

describe('while a copy is under way', { timeout: 120_000 }, () => {
  test('others go on: a slow client blocks nobody', async () => {
    const id = await world.container()
    await large(id)
    const slow = halted('slow')
    const writing = containers().writeArchive(id, '/tmp', slow.source, plain)
    const unread = await containers().readArchive(id, '/large', { signal: never })
    await slow.stuck
    await Promise.all(Array.from({ length: 4 }, async (_, index) => {
      await put(id, '/', [{ name: `f${index}`, content: String(index) }])
      expect(await read(id, `/f${index}`)).toBe(String(index))
      expect((await get(id, '/large')).length).toBeGreaterThan(5_000_000)
    }))
    expect(await statusOf(id)).toBe('created')
    slow.release()
    await writing
    expect((await collect(unread.archive)).length).toBeGreaterThan(5_000_000)
    expect(heldNamespaces()).toBe('0')
  })

  test.each(['stopped', 'running'])('an abort ends it and leaves nothing, in a %s container', async (state) => {
    const id = await world.container()
    if (state === 'running') await containers().start(id)
    await large(id)
    const control = new AbortController()
    const slow = halted('slow')
    const writing = containers().writeArchive(id, '/tmp', slow.source, { ...plain, signal: control.signal })
    const never1 = await containers().readArchive(id, '/large', { signal: control.signal })
    const { archive } = await containers().readArchive(id, '/large', { signal: control.signal })
    const iterator = archive[Symbol.asyncIterator]()
    await iterator.next()
    await slow.stuck
    control.abort()
    await expect(writing).rejects.toMatchObject({ name: 'AbortError' })
    await expect(iterator.next()).rejects.toMatchObject({ name: 'AbortError' })
    await expect(collect(never1.archive)).rejects.toMatchObject({ name: 'AbortError' })
    await expect(get(id, '/large', AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' })
    slow.release()
    await expect.poll(slow.isReturned).toBe(true)
    await expect.poll(heldNamespaces).toBe('0')
    expect(namesIn(await get(id, '/large'))).toEqual(['large'])
  })

  test('one that is given up by its reader is over', async () => {
    const id = await world.container()
    await large(id)
    for await (const _ of (await containers().readArchive(id, '/large', { signal: never })).archive) break
    expect(heldNamespaces()).toBe('0')
  })

  test('a start waits until it is over', async () => {
    const id = await world.container()
    const slow = halted('slow')
    const writing = containers().writeArchive(id, '/tmp', slow.source, plain)
    await slow.stuck
    const starting = containers().start(id)
    expect(await statusOf(id)).toBe('created')
    slow.release()
    await Promise.all([writing, starting])
    expect(await statusOf(id)).toBe('running')
    expect(readdirSync(join(world.upper(id), 'tmp'))).toEqual(['slow'])
  })

  test('a stop does not wait; the copy ends as it would have', async () => {
    const id = await world.container()
    await containers().start(id)
    await large(id)
    const { archive } = await containers().readArchive(id, '/large', { signal: never })
    const iterator = archive[Symbol.asyncIterator]()
    let size = (await iterator.next()).value?.length ?? 0
    await containers().stop(id, { timeout: 5 })
    expect(await statusOf(id)).toBe('exited')
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) size += next.value.length
    expect(size).toBeGreaterThan(5_000_000)
  })

  test.each(['stopped', 'running'])('a removal of a %s container ends it', async (state) => {
    const id = await world.container()
    if (state === 'running') await containers().start(id)
    await large(id)
    const slow = halted('slow')
    const writing = containers().writeArchive(id, '/tmp', slow.source, plain)
    writing.catch(() => {})
    const { archive } = await containers().readArchive(id, '/large', { signal: never })
    await slow.stuck
    await containers().remove(id, forced)
    const removed = { kind: 'conflict', message: `container ${id} is being removed` }
    await expect(writing).rejects.toMatchObject(removed)
    await expect(collect(archive)).rejects.toMatchObject(removed)
    await expect(get(id, '/large')).rejects.toMatchObject({ kind: 'not-found' })
    expect(heldNamespaces()).toBe('0')
    expect(world.attached()).toBe(0)
  })

  test('the runtime lets go of it', async () => {
    const id = await world.container()
    await large(id)
    const { archive } = await containers().readArchive(id, '/large', { signal: never })
    await world.engine.restart()
    await expect(collect(archive)).rejects.toMatchObject({ kind: 'cancelled' })
    expect(heldNamespaces()).toBe('0')
    expect((await get(id, '/large')).length).toBeGreaterThan(5_000_000)
  })

  test('its thread stays however long its client takes, and ends when nobody copies', async () => {
    await using brief = await realFiles({ copyLinger: 1 })
    const { get: getBriefly, put: putBriefly } = copies(() => brief.engine.runtime.containers)
    const threads = () => readdirSync('/proc/self/task').filter((task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8') === 'copies\n').length
    const others = threads()
    const id = await brief.container()
    await putBriefly(id, '/', [{ name: 'large', content: randomBytes(5_000_000) }])
    const iterator = (await brief.engine.runtime.containers.readArchive(id, '/large', { signal: never })).archive[Symbol.asyncIterator]()
    let size = (await iterator.next()).value?.length ?? 0
    await getBriefly(id, '/etc/passwd') // by the other thread
    await expect.poll(threads, { timeout: 30_000 }).toBe(others + 1)
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) size += next.value.length
    expect(size).toBeGreaterThan(5_000_000)
    await expect.poll(threads, { timeout: 30_000 }).toBe(others)
  })

  test('one whose thread has failed is not taken for whole', async () => {
    await using thread = new WorkerCalls<ArchiveJobs>(workerFile(new URL('../src/index.ts', import.meta.url).href, 'archive-worker'))
    for (const lost of [thread.call('next', 1), thread.call('put', 1, Buffer.of(1)), thread.call('finish', 1)]) await expect(lost).rejects.toMatchObject({ code: 'COPY_LOST' })
    await thread.call('end', 1)
  })

  test('one from a container whose process is lost fails', async () => {
    const id = await world.container()
    await containers().start(id)
    world.lose(id)
    await expect.poll(() => get(id, '/').then(() => 'copied', ({ code }) => code), { timeout: 30_000 }).toBe('CONTAINER_LOST')
  })

  test('volumes are attached once for all copies', async () => {
    mkdirSync(join(world.directory, 'volume'))
    world.volumes.push({ destination: '/v', type: 'bind', source: join(world.directory, 'volume'), options: ['rbind', 'rw'] })
    const id = await world.container()
    // A container whose process was lost has its own until the engine ends.
    const others = world.attached()
    await put(id, '/v', [{ name: 'x', content: 'x' }])
    expect(world.attached()).toBe(others)
    const { archive } = await containers().readArchive(id, '/v', { signal: never })
    expect(await read(id, '/v/x')).toBe('x')
    expect(world.attached()).toBe(others + 1)
    expect(namesIn(await collect(archive))).toEqual(['v/', 'v/x'])
    expect(world.attached()).toBe(others)
  })

  test('nothing is mounted on the machine', async () => {
    const id = await world.container()
    await large(id)
    const before = readMountInfo()
    const { archive } = await containers().readArchive(id, '/large', { signal: never })
    expect(readMountInfo()).toEqual(before)
    await collect(archive)
  })
})

/** A process that runs in a mount namespace of a container: while it does, a directory and a link that leads out change places without pause. */
async function swapper(script: string): Promise<string> {
  const id = await world.container({ proc: 'host', script: `${script.replaceAll('\n', ' ')} & exec sleep 1000` })
  await containers().start(id)
  return id
}

describe('links that are swapped while they are copied through, CVE-2018-15664', { timeout: 120_000 }, () => {
  test.each([
    ['an absolute one', (outside: string) => outside],
    ['one that climbs', (outside: string) => `../../../../../../../..${outside}`],
    ['one through proc', (outside: string) => `/proc/${process.pid}/root${outside}`],
  ])('%s', async (_, target) => {
    const outside = join(world.directory, 'outside')
    mkdirSync(join(outside, 'sub'), { recursive: true })
    writeFileSync(join(outside, 'sub/file'), 'SECRET')
    const id = await swapper(`exec 2>/dev/null; mkdir /d; ln -s ${target(outside)} /d/link; cd /d;
      while true; do rm -rf real; ln -s ${target(outside)} real; rm -rf real; mkdir -p real/sub; echo inside > real/sub/file; done`)
    const reads = ['/d/real', '/d/real/sub', '/d/real/sub/file', '/d/real/.', '/d/link/sub', '/d']
    const writes = [['/d/real', 'sub/new'], ['/d/real/sub', 'new'], ['/d', 'real/sub/new'], ['/d/real/.', 'new/new']] as const
    const met = new Set<string>()
    const attempt = async (kind: string, work: () => Promise<unknown>): Promise<void> => {
      try {
        await work()
        met.add(kind)
      } catch (error) {
        met.add(`${kind}: ${(error as { kind?: string }).kind}`)
      }
    }
    const read = (path: string) => attempt('read', async () => {
      const archive = await get(id, path)
      expect(archive.includes('SECRET')).toBe(false)
      if (archive.includes('inside')) met.add('directory')
      if (path === '/d' && namesIn(archive).some((name) => name.startsWith('d/real ->'))) met.add('link')
    })
    // Until the race has been won and lost both ways, and not less than so often.
    for (let round = 0; round < 10 || !['directory', 'link', 'read: not-found', 'write', 'write: not-found'].every((kind) => met.has(kind)); round++) {
      await Promise.all([...reads.map(read), ...writes.map(([path, name]) => attempt('write', () => put(id, path, [{ name, content: 'written' }])))])
    }
    // An expectation that fails has no kind.
    expect([...met].filter((kind) => kind.endsWith('undefined'))).toEqual([])
    expect(execFileSync('find', [outside], { encoding: 'utf8' }).trim().split('\n')).toEqual([outside, join(outside, 'sub'), join(outside, 'sub/file')])
    expect(readFileSync(join(outside, 'sub/file'), 'utf8')).toBe('SECRET')
  })

  test('proc that is covered by another mount is no way out', async () => {
    const id = await world.container({ proc: 'host', script: 'mount -t tmpfs none /proc; echo over > /proc/file; echo ready; exec sleep 1000' })
    await containers().start(id)
    await expect.poll(() => get(id, '/proc').then(namesIn), { timeout: 60_000 }).toEqual(['proc/', 'proc/file'])
    await expect(containers().statPath(id, `/proc/${process.pid}/root/etc`)).rejects.toMatchObject({ kind: 'not-found' })
  })

  test('proc that changes its place is no way out', async () => {
    const id = await world.container({
      proc: 'host',
      script: `unshare -m sh -c 'umount -l /proc; while true; do mv /proc /moved; mv /moved /proc; done' 2>/dev/null & exec sleep 1000`.replaceAll("'", '"'),
    })
    await containers().start(id)
    const places = new Set<string>()
    for (let round = 0; round < 20 || places.size < 2; round++) {
      for (const place of ['/proc', '/moved']) {
        await expect(containers().statPath(id, `${place}/${process.pid}/root/etc`)).rejects.toMatchObject({ kind: 'not-found' })
        await containers().statPath(id, place).then(() => places.add(place), () => {})
      }
    }
  })

  test('a container brings nothing that is loaded while its files are read, CVE-2019-14271', async () => {
    const id = await world.container()
    // What a thread would load, if it loaded anything by a path while it is in there.
    const names = execFileSync('sh', ['-c', `grep -ho '/.*' /proc/${process.pid}/maps | sort -u | grep '^/.*\\(so\\|node\\)'`], { encoding: 'utf8' }).trim().split('\n')
    await put(id, '/', names.map((name) => ({ name: name.slice(1), content: 'not a library', mode: 0o755 })))
    await put(id, '/', [{ name: 'etc/nsswitch.conf', content: 'passwd: evil' }])
    expect(await read(id, '/etc/nsswitch.conf')).toBe('passwd: evil')
    await put(id, '/tmp', [{ name: 'x', content: 'x' }], { ...plain, copyUidGid: true })
  })
})
