import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  acquireLock, getXattr, listXattrs, mknod, mount, mountFlags, NamespaceRunner, openInRoot, readMountInfo, removeXattr, setTimes, setXattr, umount, unshare, withRoot,
} from '../src/index.ts' // prettier-ignore

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-linux-'))
})
afterAll(() => {
  if (readMountInfo().some(({ mountPoint }) => mountPoint.startsWith(dir))) throw new Error('a mount was left behind')
  rmSync(dir, { recursive: true })
})

it('mounts and unmounts', () => {
  const [target, bound] = [join(dir, 'tmpfs'), join(dir, 'bound')]
  mkdirSync(target)
  mkdirSync(bound)
  mount('tmpfs', target, 'tmpfs', mountFlags.MS_NOSUID, 'size=1m,mode=711')
  try {
    expect((statSync(target).mode & 0o777).toString(8)).toBe('711')
    mount(target, bound, 'none', mountFlags.MS_BIND | mountFlags.MS_RDONLY)
    expect(() => writeFileSync(join(bound, 'file'), '')).toThrow(/EROFS/)
    umount(bound)
  } finally {
    umount(target)
  }
  expect(() => umount(target)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
})

it('keeps work in a root, whatever the links say', async () => {
  const root = join(dir, 'root')
  mkdirSync(join(root, 'real'), { recursive: true })
  symlinkSync('/real', join(root, 'link'))
  const worker = new Worker(new URL('./fixtures/in-worker.ts', import.meta.url), { workerData: { dir: root }, execArgv: ['--conditions=@berth/source'] })
  const [answer] = (await once(worker, 'message')) as unknown[]
  expect(answer).toEqual({ root: ['escaped-by-dots', 'link', 'real'], real: 'x', outsideAgain: true })
  await worker.terminate()
  expect(existsSync('/escaped-by-dots')).toBe(false)
})

it('makes mount namespaces of which the machine sees nothing, and comes back', async () => {
  mkdirSync(join(dir, 'target'))
  writeFileSync(join(dir, 'source'), 'four')
  const worker = new Worker(new URL('./fixtures/in-namespace.ts', import.meta.url), { workerData: { dir }, execArgv: ['--conditions=@berth/source'] })
  const [answer] = (await once(worker, 'message')) as unknown[]
  expect(answer).toEqual({
    mounts: ['/'],
    base: { files: ['inside', 'mount-point'], here: ['inside', 'mount-point'], upwards: false },
    derived: { files: ['inside', 'mount-point'], readonly: 'EROFS', size: 4 },
    failure: 'ENOENT',
    outside: [],
    isBack: true,
  })
  await worker.terminate()
  expect(readFileSync(join(dir, 'source'), 'utf8')).toBe('four')
})

it('ends a thread that cannot come back, so that it does nothing more where it is', async () => {
  const worker = new Worker(new URL('./fixtures/lost-in-namespace.ts', import.meta.url), { execArgv: ['--conditions=@berth/source'] })
  const messages: unknown[] = []
  worker.on('message', (message) => messages.push(message))
  expect(await once(worker, 'exit')).toEqual([1])
  expect(messages).toEqual(['inside'])
})

it('does not move the whole program', () => {
  // The test runner's own processes are main threads.
  expect(() => withRoot(dir, () => {})).toThrow(/worker threads/)
  expect(() => unshare(0)).toThrow(/worker threads/)
})

it('opens within a root', () => {
  const root = join(dir, 'within')
  mkdirSync(join(root, 'etc'), { recursive: true })
  writeFileSync(join(root, 'etc/passwd'), 'inside')
  symlinkSync('/etc/passwd', join(root, 'absolute'))
  symlinkSync('../../../../../../etc/passwd', join(root, 'climbing'))
  const rootFd = openSync(root, 'r')
  for (const path of ['/etc/passwd', 'absolute', 'climbing', '../etc/passwd']) {
    const fd = openInRoot(rootFd, path)
    expect(readFileSync(fd, 'utf8')).toBe('inside')
    closeSync(fd)
  }
  expect(() => openInRoot(rootFd, 'missing')).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  expect(() => openInRoot(rootFd, 'etc/passwd', { directory: true })).toThrow(expect.objectContaining({ code: 'ENOTDIR' }))
  closeSync(rootFd)
})

it('makes nodes, attributes and times', () => {
  const path = join(dir, 'node')
  mknod(path, 0o020600, { major: 1, minor: 3 })
  expect(statSync(path).rdev).toBe(0x103)
  setXattr(path, 'trusted.overlay.opaque', Buffer.from('y'))
  expect(listXattrs(path)).toEqual(['trusted.overlay.opaque'])
  expect(getXattr(path, 'trusted.overlay.opaque').toString()).toBe('y')
  removeXattr(path, 'trusted.overlay.opaque')
  expect(listXattrs(path)).toEqual([])
  expect(() => getXattr(path, 'user.none')).toThrow(expect.objectContaining({ syscall: 'lgetxattr' }))
  setTimes(path, 1n, 1_500_000_000_123_456_789n)
  expect(statSync(path, { bigint: true }).mtimeNs).toBe(1_500_000_000_123_456_789n)
  setTimes(path, 0n, -1_500_000_000n)
  expect(statSync(path, { bigint: true }).mtimeNs).toBe(-1_500_000_000n)
})

it('locks once', () => {
  const path = join(dir, 'lock')
  const lock = acquireLock(path)
  expect(() => acquireLock(path)).toThrow(new RegExp(`is locked by process ${process.pid}`))
  lock[Symbol.dispose]()
  acquireLock(path)[Symbol.dispose]()
})

it('makes network namespaces and works in them', async () => {
  const path = join(dir, 'netns')
  {
    await using runner = new NamespaceRunner()
    await runner.create(path)
    await expect(runner.create(path)).rejects.toMatchObject({ code: 'EEXIST' })
    await runner.sysctls(path, { 'net/ipv4/ip_default_ttl': '77' })
    expect((await runner.run(path, 'cat', ['/proc/sys/net/ipv4/ip_default_ttl'])).stdout).toBe('77\n')
    expect(readFileSync('/proc/sys/net/ipv4/ip_default_ttl', 'utf8')).not.toBe('77\n')
    expect((await runner.run(path, 'cat', ['/sys/class/net/lo/flags', '/proc/self/net/dev'])).stdout).toMatch(/lo:/)
    expect(await runner.counters(path)).toEqual({})
    await expect(runner.sysctls(path, { 'net/nonsense': '1' })).rejects.toMatchObject({ code: 'ENOENT' })
    runner.delete(path)
    runner.delete(path)
  }
  expect(existsSync(path)).toBe(false)
})
