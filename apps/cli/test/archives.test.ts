import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PathStat } from '@berth/api-server'
import { BerthError } from '@berth/core'
import { tarOf } from '@berth/layer-tar'
import { describe, expect, it } from 'vitest'
import { type CommandLine, openCommandLine } from './command-line.ts'

describe('save and load', () => {
  it('write images to a file or a pipe, and take them in again', async () => {
    await using line = await openCommandLine()
    await using other = await openCommandLine()
    const file = join(line.directory, 'images.tar')
    await line.run('tag', 'busybox', 'app:1')
    expect(await line.run('save', '-o', file, 'busybox', 'app:1')).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(await other.run('load', '-i', file)).toEqual({ code: 0, stdout: 'Loaded image: busybox:latest\nLoaded image: app:1\n', stderr: '' })
    const { stdout } = await line.run('image', 'save', 'app:1')
    expect(await other.feed(stdout, 'image', 'load', '-q')).toMatchObject({ code: 0, stdout: 'Loaded image: app:1\n' })
  })

  it('leave nothing of what could not be saved whole, and what was there stays', async () => {
    await using line = await openCommandLine()
    const file = join(line.directory, 'images.tar')
    writeFileSync(file, 'from before')
    expect(await line.run('save', '-o', file, 'busybox', 'none')).toMatchObject({ code: 1, stderr: 'berth: No such image: none:latest\n' })
    line.backend.images.save = async () =>
      (async function* () {
        yield Buffer.alloc(100_000)
        throw new BerthError('data-loss', 'TEST', 'a blob is lost')
      })()
    expect(await line.run('save', '-o', file, 'busybox')).toMatchObject({ code: 1, stderr: 'berth: the connection to the engine ended in the middle of its answer\n' })
    expect([readFileSync(file, 'utf8'), readdirSync(line.directory).filter((name) => name.includes('partial'))]).toEqual(['from before', []])
  })

  it('refuse terminals and places where nothing can be', async () => {
    await using line = await openCommandLine()
    const refused = async (args: string[]): Promise<[number, string]> => {
      const { stdin, stderr, done } = line.start(args, { tty: true })
      stdin.end()
      return [await done, stderr.text]
    }
    expect(await refused(['save', 'busybox'])).toEqual([1, 'berth: cowardly refusing to save to a terminal. Use the -o flag or redirect\n'])
    expect(await refused(['load'])).toEqual([1, 'berth: requested load from stdin, but stdin is empty\n'])
    await line.run('create', '--name', 'web', 'busybox')
    expect(await refused(['export', 'web'])).toEqual([1, 'berth: cowardly refusing to export to a terminal. Use the -o flag or redirect\n'])
    expect(await line.run('save', '-o', '/no/where/x.tar', 'busybox')).toMatchObject({ code: 1, stderr: 'berth: invalid output path: directory "/no/where" does not exist\n' })
    expect(await line.run('save', '-o', '/tmp', 'busybox')).toMatchObject({ code: 1, stderr: 'berth: invalid output path: "/tmp" is a directory\n' })
    expect(await line.run('load', '-i', '/no/where.tar')).toMatchObject({ code: 1, stderr: expect.stringContaining('/no/where.tar') })
    expect(await line.feed('nonsense', 'load')).toMatchObject({ code: 1, stderr: 'berth: the archive is not one of images\n' })
  })

  it('are about the platforms asked for', async () => {
    await using line = await openCommandLine()
    const asked: (string[] | undefined)[] = []
    line.backend.images.save = async (_, { platforms }) => (asked.push(platforms), (async function* () {})())
    await line.run('save', '--platform', 'linux/arm64,linux/amd64', '--platform', 'linux/s390x', 'busybox')
    expect(asked).toEqual([['linux/arm64', 'linux/amd64', 'linux/s390x']])
    expect((await line.run('save', '--platform', 'a/b/c/d', 'busybox')).code).toBe(1)
  })
})

describe('containers', () => {
  it('are exported, compared and committed', async () => {
    await using line = await openCommandLine()
    await line.run('create', '--name', 'web', 'busybox')
    expect((await line.run('export', 'web')).stdout).toBe('tar of web')
    line.backend.containers.changes = async () => [
      { Path: '/etc', Kind: 0 },
      { Path: '/etc/new\u001b', Kind: 1 },
      { Path: '/tmp/old', Kind: 2 },
    ]
    expect((await line.run('diff', 'web')).stdout).toBe('C /etc\nA /etc/new�\nD /tmp/old\n')
    const asked: object[] = []
    const commit = line.backend.containers.commit.bind(line.backend.containers)
    line.backend.containers.commit = (ref, { signal, config: _, ...options }) => (asked.push(options), commit(ref, { signal, ...options }))
    expect((await line.run('commit', '-a', 'me', '-m', 'why', '-c', 'CMD ls', '-c', 'ENV A=b', 'web', 'localhost:5000/mine:2')).stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/)
    expect((await line.run('images', '-q', 'localhost:5000/mine')).code).toBe(0)
    await line.run('container', 'commit', '--no-pause', 'web')
    expect(asked).toEqual([
      { repo: 'localhost:5000/mine', tag: '2', author: 'me', comment: 'why', changes: ['CMD ls', 'ENV A=b'], pause: true },
      { repo: undefined, tag: undefined, author: undefined, comment: undefined, changes: [], pause: false },
    ])
    expect(await line.run('commit', 'none')).toMatchObject({ code: 1, stderr: 'berth: No such container: none\n' })
  })
})

describe('cp', () => {
  const directoryMode = 2 ** 31 + 0o755
  const linkMode = 2 ** 27 + 0o777
  const stat = (name: string, mode: number, linkTarget = ''): PathStat => ({ name, size: 1, mode, mtime: '2024-01-02T03:04:05Z', linkTarget })

  /** A container with a few files, and what was written to it. */
  async function withFiles(files: Record<string, PathStat>): Promise<CommandLine & { written: { path: string; archive: Buffer; options: object }[]; read: string[] }> {
    const line = await openCommandLine()
    await line.run('create', '--name', 'web', 'busybox')
    const written: { path: string; archive: Buffer; options: object }[] = []
    const read: string[] = []
    const find = (path: string): PathStat => {
      const found = files[path.replace(/(.)\/\.?$/, '$1')]
      if (!found) throw new BerthError('not-found', 'PATH_NOT_FOUND', `Could not find the file ${path} in container web`)
      return found
    }
    line.backend.containers.statPath = async (_, path) => find(path)
    line.backend.containers.readArchive = async (_, path) => {
      const found = find(path)
      read.push(path)
      const name = path.endsWith('/.') ? '.' : found.name
      const members = found.mode >= 2 ** 31 ? [{ name: `${name}/` }, { name: `${name}/inner`, content: 'inner' }] : [{ name, content: `content of ${path}` }]
      return {
        stat: found,
        archive: (async function* () {
          yield tarOf(members)
        })(),
      }
    }
    line.backend.containers.writeArchive = async (_, path, source, { signal: _signal, ...options }) => {
      find(path)
      written.push({ path, archive: Buffer.concat(await Array.fromAsync(source)), options })
    }
    return Object.assign(line, { written, read })
  }

  const names = (archive: Buffer): string[] => {
    const found: string[] = []
    for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
      const size = Number.parseInt(archive.toString('latin1', at + 124, at + 135), 8)
      found.push(archive.toString('latin1', at, at + 100).replace(/\0.*$/s, ''))
      at += 512 + Math.ceil(size / 512) * 512
    }
    return found.filter((name) => !name.startsWith('PaxHeaders'))
  }

  it('brings files and directories out, by the name that is wanted', async () => {
    await using line = await withFiles({ '/etc/hosts': stat('hosts', 0o644), '/srv': stat('srv', directoryMode) })
    const out = join(line.directory, 'out')
    mkdirSync(out)
    expect(await line.run('cp', 'web:/etc/hosts', out)).toEqual({ code: 0, stdout: '', stderr: `Successfully copied 2.05kB to ${out}\n` })
    await line.run('cp', '-q', 'web:/etc/hosts', join(out, 'renamed'))
    await line.run('cp', 'web:/srv', join(out, 'made'))
    await line.run('cp', 'web:/srv', out)
    await line.run('cp', 'web:/srv/.', out)
    expect(readdirSync(out, { recursive: true }).map(String).toSorted()).toEqual(['hosts', 'inner', 'made', 'made/inner', 'renamed', 'srv', 'srv/inner'])
    expect(readFileSync(join(out, 'renamed'), 'utf8')).toBe('content of /etc/hosts')
  })

  it('brings an archive out to standard output', async () => {
    await using line = await withFiles({ '/etc/hosts': stat('hosts', 0o644) })
    const { code, stdout, stderr } = await line.run('cp', 'web:/etc/hosts', '-')
    expect([code, stderr, stdout.slice(0, 5)]).toEqual([0, '', 'hosts'])
  })

  it('follows a link out only when asked, and keeps its name', async () => {
    await using line = await withFiles({ '/etc/link': stat('link', linkMode, '/etc/real'), '/etc/real': stat('real', 0o644) })
    const out = join(line.directory, 'out')
    mkdirSync(out)
    await line.run('cp', '-L', 'web:/etc/link', out)
    expect([line.read, readFileSync(join(out, 'link'), 'utf8')]).toEqual([['/etc/real'], 'content of /etc/real'])
    await line.run('cp', 'web:/etc/link', out)
    expect(line.read).toEqual(['/etc/real', '/etc/link'])
  })

  it('takes files and directories in, by the name that is wanted', async () => {
    await using line = await withFiles({ '/': stat('/', directoryMode), '/srv': stat('srv', directoryMode), '/srv/old': stat('old', 0o644) })
    const source = join(line.directory, 'site')
    mkdirSync(source)
    writeFileSync(join(source, 'page'), 'page')
    const into = async (from: string, to: string, ...flags: string[]): Promise<[string, string[]]> => {
      expect(await line.run('cp', '-q', ...flags, from, `web:${to}`)).toEqual({ code: 0, stdout: '', stderr: '' })
      const { path, archive } = line.written.at(-1) ?? { path: '', archive: Buffer.alloc(0) }
      return [path, names(archive)]
    }
    expect(await into(source, '/srv')).toEqual(['/srv', ['site/', 'site/page']])
    expect(await into(`${source}/.`, '/srv')).toEqual(['/srv', ['./', './page']])
    expect(await into(source, '/srv/new')).toEqual(['/srv', ['new/', 'new/page']])
    expect(await into(join(source, 'page'), '/srv/')).toEqual(['/srv/', ['page']])
    expect(await into(join(source, 'page'), '/srv/old')).toEqual(['/srv', ['old']])
    expect(await into(join(source, 'page'), '/new', '-a')).toEqual(['/', ['new']])
    expect(line.written.map(({ options }) => options).slice(-2)).toEqual([
      { noOverwriteDirNonDir: true, copyUidGid: false },
      { noOverwriteDirNonDir: true, copyUidGid: true },
    ])
  })

  it('writes to where a link of the container leads', async () => {
    await using line = await withFiles({ '/link': stat('link', linkMode, '/srv'), '/srv': stat('srv', directoryMode) })
    writeFileSync(join(line.directory, 'page'), 'page')
    expect(await line.run('cp', join(line.directory, 'page'), 'web:/link')).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Successfully copied [\d.]+kB to web:\/srv\n$/) })
    expect(line.written.map(({ path }) => path)).toEqual(['/srv'])
  })

  it('takes an archive in from standard input', async () => {
    await using line = await withFiles({ '/srv': stat('srv', directoryMode), '/file': stat('file', 0o644) })
    expect(await line.feed('an archive', 'cp', '-', 'web:/srv')).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(line.written.map(({ archive }) => archive.toString())).toEqual(['an archive'])
    expect(await line.feed('an archive', 'cp', '-', 'web:/file')).toMatchObject({ code: 1, stderr: 'berth: destination "web:/file" must be a directory\n' })
  })

  it.each([
    [['web:/a', 'web:/b'], 'copying between containers is not supported'],
    [['/a', '/b'], 'must specify at least one container source'],
    [['web:/none', '.'], 'Could not find the file /none in container web'],
    [['web:/etc/hosts', '/no/where/x'], 'invalid output path: directory "/no/where" does not exist'],
    [['web:/etc/hosts', '/dev/null'], 'invalid output path: "/dev/null" must be a directory or a regular file'],
    [['web:/srv', '/etc/passwd'], 'cannot copy directory'],
    [['web:/etc/hosts', '/tmp/no-such-thing/'], 'no such directory'],
    [['/no/such/file', 'web:/srv'], 'lstat /no/such/file: no such file or directory'],
    [['/etc/passwd/', 'web:/srv'], 'lstat /etc/passwd/: not a directory'],
    [['/etc/passwd', 'web:/srv/none/'], 'no such directory'],
    [['/etc', 'web:/etc/hosts'], 'cannot copy directory'],
    [['/etc/passwd', 'web:/none/x'], 'Could not find the file /none in container web'],
    [['/etc/passwd', 'none:/x'], 'No such container: none'],
  ])('refuses %o', async (args, message) => {
    await using line = await withFiles({ '/etc/hosts': stat('hosts', 0o644), '/srv': stat('srv', directoryMode) })
    const writeArchive = line.backend.containers.writeArchive
    line.backend.containers.writeArchive = async (ref, ...rest) => {
      if (ref === 'none') throw new BerthError('not-found', 'CONTAINER_NOT_FOUND', `No such container: ${ref}`)
      return writeArchive(ref, ...rest)
    }
    expect(await line.run('cp', ...args)).toEqual({ code: 1, stdout: '', stderr: `berth: ${message}\n` })
    expect(existsSync('/tmp/no-such-thing')).toBe(false)
  })
})
