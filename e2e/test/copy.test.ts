import { execFileSync } from 'node:child_process'
import { chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, TestHost } from '../src/index.ts'

const clients = ['docker', 'berth'] as const

describe('cp', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const path = (name: string): string => join(host.dir, name)
  const fresh = (name: string): string => {
    rmSync(path(name), { recursive: true, force: true })
    mkdirSync(path(name))
    return path(name)
  }

  describe.each(clients)('%s', (client) => {
    const cp = (...args: string[]): Promise<string> => daemon.by(client, ['cp', ...args])
    const refused = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await daemon[client](['cp', ...args])
      expect(code).toBe(1)
      return stderr
    }

    it.each(['running', 'stopped', 'never started'])('brings files out of a container that is %s', async (state) => {
      const id = await daemon.ok('create', 'busybox', 'sleep', '1000')
      if (state !== 'never started') await daemon.ok('start', id)
      if (state === 'stopped') await daemon.ok('stop', '-t', '0', id)
      const out = fresh('out')
      await cp(`${id}:/data/from-image`, out)
      await cp(`${id}:/data/from-image`, join(out, 'renamed'))
      await cp(`${id}:/data`, out)
      await cp(`${id}:/data`, join(out, 'new'))
      await cp(`${id}:data/.`, join(out, 'new'))
      expect(readdirSync(out, { recursive: true }).map(String).toSorted()).toEqual(['data', 'data/from-image', 'from-image', 'new', 'new/from-image', 'renamed'])
      expect(readFileSync(join(out, 'renamed'), 'utf8')).toBe('from the image\n')
      await daemon.ok('rm', '-f', id)
    })

    it.each(['running', 'stopped', 'never started'])('takes files into a container that is %s', async (state) => {
      const id = await daemon.ok('create', 'busybox', 'sleep', '1000')
      if (state !== 'never started') await daemon.ok('start', id)
      if (state === 'stopped') await daemon.ok('stop', '-t', '0', id)
      const source = fresh('in')
      mkdirSync(join(source, 'tree/sub'), { recursive: true })
      writeFileSync(join(source, 'tree/sub/file'), 'deep\n', { mode: 0o640 })
      symlinkSync('sub/file', join(source, 'tree/link'))
      writeFileSync(join(source, 'plain'), 'plain\n')
      await cp(join(source, 'plain'), `${id}:/tmp`)
      await cp(join(source, 'plain'), `${id}:/tmp/renamed`)
      await cp(join(source, 'tree'), `${id}:/tmp`)
      await cp(join(source, 'tree'), `${id}:/tmp/new`)
      await cp(`${join(source, 'tree')}/.`, `${id}:/data`)
      const listing = await archiveOf(id, '/')
      for (const name of ['tmp/plain', 'tmp/renamed', 'tmp/tree/sub/file', 'tmp/new/sub/file', 'data/sub/file', 'data/from-image']) expect(listing).toMatch(new RegExp(` ${name}$`, 'm'))
      expect(listing).toMatch(/^lrwx.* tmp\/tree\/link -> sub\/file$/m)
      expect(listing).toMatch(/^-rw-r----- 0\/0 +5 .* tmp\/new\/sub\/file$/m)
      await cp('-L', `${id}:/tmp/tree/link`, join(source, 'back'))
      expect(readFileSync(join(source, 'back'), 'utf8')).toBe('deep\n')
      await daemon.ok('rm', '-f', id)
    })

    it('keeps the owners of files, which with -a are the user of the container', async () => {
      const id = await daemon.ok('create', '--user', 'app', 'busybox')
      const source = fresh('owned')
      writeFileSync(join(source, 'file'), '')
      chownSync(join(source, 'file'), 1234, 2345)
      await cp(join(source, 'file'), `${id}:/tmp/kept`)
      await cp('-a', join(source, 'file'), `${id}:/tmp/given`)
      const listing = await archiveOf(id, '/tmp')
      expect(listing).toMatch(/ 1234\/2345 .* tmp\/kept$/m)
      expect(listing).toMatch(/ 1000\/1000 .* tmp\/given$/m)
      await daemon.ok('rm', id)
    })

    it('goes through volumes, both ways', async () => {
      const id = await daemon.ok('create', '-v', '/volume', '-v', `${fresh('bound')}:/bound`, 'busybox')
      writeFileSync(path('page'), 'page\n')
      await cp(path('page'), `${id}:/volume/page`)
      await cp(path('page'), `${id}:/bound/page`)
      expect(readFileSync(path('bound/page'), 'utf8')).toBe('page\n')
      const out = fresh('out')
      await cp(`${id}:/volume/page`, join(out, 'again'))
      expect(readFileSync(join(out, 'again'), 'utf8')).toBe('page\n')
      await daemon.ok('rm', '-v', id)
    })

    it('refuses to write to what is read-only', async () => {
      const id = await daemon.ok('create', '-v', `${fresh('bound')}:/bound:ro`, 'busybox')
      writeFileSync(path('page'), 'page\n')
      expect(await refused(path('page'), `${id}:/bound/page`)).toMatch(/read-only/)
      expect(readdirSync(path('bound'))).toEqual([])
      const other = await daemon.ok('create', '--read-only', 'busybox')
      expect(await refused(path('page'), `${other}:/tmp/page`)).toMatch(/read-only/)
      await daemon.ok('rm', id, other)
    })

    it('copies a link, or with -L what it leads to, and never leaves the container for it', async () => {
      const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'ln -s /etc/hostname-copy /link; echo inside > /etc/hostname-copy; ln -s ../../../../../etc/hostname-copy /up; ln -s /etc /dir; touch /done; sleep 1000')
      await daemon.ok('exec', id, 'sh', '-c', 'while ! [ -e /done ]; do sleep 0.05; done')
      const out = fresh('out')
      await cp(`${id}:/link`, out)
      expect(readlinkSync(join(out, 'link'))).toBe('/etc/hostname-copy')
      rmSync(join(out, 'link'))
      await cp('-L', `${id}:/link`, out)
      expect(lstatSync(join(out, 'link')).isFile()).toBe(true)
      await cp('-L', `${id}:/up`, join(out, 'up'))
      await cp(`${id}:/dir/hostname-copy`, join(out, 'through'))
      for (const name of ['link', 'up', 'through']) expect(readFileSync(join(out, name), 'utf8')).toBe('inside\n')
      writeFileSync(path('page'), 'page\n')
      await cp(path('page'), `${id}:/dir/`)
      expect(await daemon.ok('exec', id, 'cat', '/etc/page')).toBe('page')
      expect(() => statSync('/etc/page')).toThrow('ENOENT')
      await daemon.ok('rm', '-f', id)
    })

    it('follows links of this machine only with -L', async () => {
      const id = await daemon.ok('create', 'busybox')
      const source = fresh('links')
      writeFileSync(join(source, 'real'), 'real\n')
      symlinkSync('real', join(source, 'link'))
      await cp(join(source, 'link'), `${id}:/tmp/as-link`)
      await cp('-L', join(source, 'link'), `${id}:/tmp/as-file`)
      const listing = await archiveOf(id, '/tmp')
      expect(listing).toMatch(/^l.* tmp\/as-link -> real$/m)
      expect(listing).toMatch(/^-.* tmp\/as-file$/m)
      await daemon.ok('rm', id)
    })

    it('streams archives by -', async () => {
      const id = await daemon.ok('create', 'busybox')
      const source = fresh('stream')
      writeFileSync(join(source, 'file'), 'streamed\n')
      for (const flags of [[], ['-z']]) {
        const archive = execFileSync('tar', ['-C', source, '-cf', '-', ...flags, 'file'])
        await daemon.by(client, ['cp', '-', `${id}:/tmp`], { input: archive })
        const process = client === 'docker' ? daemon.spawnDocker(['cp', `${id}:/tmp/file`, '-']) : undefined
        const out = process ? (await process.done, process.stdoutBytes) : Buffer.from((await daemon.berth(['cp', `${id}:/tmp/file`, '-'])).stdout)
        expect(execFileSync('tar', ['-xOf', '-'], { input: out, encoding: 'utf8' })).toBe('streamed\n')
      }
      await daemon.ok('rm', id)
    })

    it('says what is wrong', async () => {
      const id = await daemon.ok('create', '--name', `wrong-${client}`, 'busybox')
      writeFileSync(path('page'), 'page\n')
      mkdirSync(path('directory'), { recursive: true })
      expect(await refused(`${id}:/none`, '.')).toMatch(/Could not find the file \/none in container/)
      expect(await refused(path('none'), `${id}:/tmp`)).toMatch(/no such file or directory/)
      expect(await refused('none:/etc', '.')).toMatch(/No such container: none/)
      expect(await refused(path('page'), 'none:/etc')).toMatch(/No such container: none/)
      expect(await refused(path('page'), `${id}:/none/deep`)).toMatch(/Could not find the file \/none in container/)
      expect(await refused(path('page'), `${id}:/none/`)).toMatch(/no such directory/)
      expect(await refused(path('directory'), `${id}:/etc/passwd`)).toMatch(/cannot copy directory/)
      // Asked about such a place, the engine answers 400, without a body to say why.
      expect(await refused(path('page'), `${id}:/etc/passwd/`)).toMatch(/no such directory/)
      expect(await refused(path('page'), `${id}:/etc/passwd/in`)).toMatch(/not a directory/)
      expect(await refused(':/etc', path('out'))).toMatch(/must specify at least one container source/)
      expect(await refused(`${id}:/etc`, path('page'))).toMatch(/cannot copy directory/)
      expect(await refused(`${id}:/etc/passwd`, path('no/where'))).toMatch(/invalid output path: directory .* does not exist/)
      expect(await refused(`${id}:/etc/passwd`, `${id}:/tmp`)).toMatch(/copying between containers is not supported/)
      expect(await refused(path('page'), path('other'))).toMatch(/must specify at least one container source/)
      await daemon.ok('rm', id)
    })
  })

  /** `tar -tv` of a path in a container, names without what is in front of it. */
  async function archiveOf(id: string, at: string): Promise<string> {
    const process = daemon.spawnDocker(['cp', `${id}:${at}`, '-'])
    await process.done
    return execFileSync('tar', ['-tv', '--numeric-owner'], { input: process.stdoutBytes, encoding: 'utf8', maxBuffer: 64 << 20 }).replaceAll(/ \.?\//g, ' ')
  }
})
