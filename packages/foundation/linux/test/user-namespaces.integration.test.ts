import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { dropNamespace, type IdRange, keepNamespace, makeUserNamespace, NamespaceRunner, readMountInfo, umount } from '../src/index.ts'

const range: IdRange = { uid: 2 ** 31 + 65_536, gid: 400_000, size: 65_536 }
let dir: string
let user: string
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'berth-userns-'))
  chmodSync(dir, 0o755)
  user = join(dir, 'user')
  using held = await makeUserNamespace(range)
  keepNamespace(held.user, user)
})
afterAll(() => {
  dropNamespace(user)
  dropNamespace(user)
  if (readMountInfo().some(({ mountPoint }) => mountPoint.startsWith(dir))) throw new Error('a mount was left behind')
  rmSync(dir, { recursive: true })
})

/** What a shell prints that runs as root of the user namespace. */
const inside = (script: string): string => execFileSync('nsenter', [`--user=${user}`, '-S', '0', '-G', '0', 'sh', '-ec', script], { encoding: 'utf8' })

it('makes a user namespace that is kept without a process, and has the IDs that it was given', () => {
  expect(inside('cat /proc/self/uid_map /proc/self/gid_map').replace(/ +/g, ' ')).toBe(' 0 2147549184 65536\n 0 400000 65536\n')
})

it('makes a network namespace that root of the user namespace may configure', async () => {
  const [own, net] = [join(dir, 'own'), join(dir, 'net')]
  await using runner = new NamespaceRunner()
  {
    using held = await makeUserNamespace(range)
    keepNamespace(held.user, own)
    await runner.adopt(net, held.net)
  }
  try {
    expect((await runner.run(net, 'ip', ['link', 'show', 'lo'])).stdout).toMatch(/LOOPBACK,UP/)
    execFileSync('nsenter', [`--user=${own}`, `--net=${net}`, '-S', '0', '-G', '0', 'ip', 'address', 'add', '10.9.8.7/32', 'dev', 'lo'])
    expect((await runner.run(net, 'ip', ['address', 'show', 'dev', 'lo'])).stdout).toMatch(/10\.9\.8\.7/)
  } finally {
    runner.delete(net)
    dropNamespace(own)
  }
  expect(existsSync(net) || existsSync(own)).toBe(false)
})

it('mounts an overlay with the owners of the namespace, and writes those of the disk', async () => {
  const at = (name: string): string => join(dir, 'overlay', name)
  for (const name of ['low', 'lower', 'upper/fs', 'upper/work', 'root']) mkdirSync(at(name), { recursive: true })
  writeFileSync(at('low/a'), 'a')
  writeFileSync(at('lower/b'), 'b')
  writeFileSync(at('lower/gone'), '')
  chownSync(at('lower/b'), 1000, 1001)
  await using runner = new NamespaceRunner()
  const before = readMountInfo().length
  await runner.mountMapped(
    [{ type: 'overlay', source: 'overlay', options: [`workdir=${at('upper/work')}`, `upperdir=${at('upper/fs')}`, `lowerdir=${at('low')}:${at('lower')}`] }],
    { ...range, userNamespace: user },
    at('root'),
  )
  try {
    expect(readMountInfo()).toHaveLength(before + 1) // the layers' own are not to be seen
    expect(statSync(at('root/b'))).toMatchObject({ uid: 2 ** 31 + 66_536, gid: 401_001 })
    expect(inside(`cd ${at('root')}; stat -c '%n %u %g' a b; echo more >> b; echo new > n; chown 7:8 n; rm gone; mkdir d; mv n d/n`)).toBe('a 0 0\nb 1000 1001\n')
  } finally {
    umount(at('root'))
  }
  expect(readdirSync(at('upper/fs')).toSorted()).toEqual(['b', 'd', 'gone'])
  expect(statSync(at('upper/fs/b'))).toMatchObject({ uid: 1000, gid: 1001 })
  expect(statSync(at('upper/fs/d'))).toMatchObject({ uid: 0, gid: 0 })
  expect(statSync(at('upper/fs/d/n'))).toMatchObject({ uid: 7, gid: 8 })
  expect(lstatSync(at('upper/fs/gone'))).toMatchObject({ uid: 0, rdev: 0 })
  expect(readFileSync(at('lower/b'), 'utf8')).toBe('b')
})

it('binds directories and files, and tells of a file system that cannot be mapped', async () => {
  const [source, target, file] = [join(dir, 'source'), join(dir, 'target'), join(dir, 'file')]
  for (const path of [source, target]) mkdirSync(path)
  writeFileSync(join(source, 'f'), 'text')
  writeFileSync(file, '')
  await using runner = new NamespaceRunner()
  const mapping = { ...range, userNamespace: user }
  await runner.bindMapped(source, mapping, target, { isPrivate: true })
  await runner.bindMapped(join(source, 'f'), mapping, file)
  try {
    expect(inside(`stat -c %u ${target}/f ${file}; echo more > ${target}/g`)).toBe('0\n0\n')
    expect(statSync(join(source, 'g'))).toMatchObject({ uid: 0, gid: 0 })
  } finally {
    umount(target)
    umount(file)
  }
  await expect(runner.bindMapped('/proc', mapping, target)).rejects.toMatchObject({ code: 'EINVAL' })
  await expect(runner.mountMapped([{ type: 'bind', source: '/sys', options: ['rbind', 'ro'] }], mapping, target)).rejects.toMatchObject({ code: 'EINVAL' })
  expect(readlinkSync('/proc/self/ns/user')).not.toBe(inside('readlink /proc/self/ns/user').trim())
})
