import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { absolutePath, containerPath, type CopyTarget, followed, planCopy, resolvedSource, splitPath } from './copy-paths.ts'

describe('arguments of cp', () => {
  it.each([
    ['web:/etc/hosts', { container: 'web', path: '/etc/hosts' }],
    ['web:a:b', { container: 'web', path: 'a:b' }],
    ['./a:b', undefined],
    ['../a:b', undefined],
    ['/tmp/a:b', undefined],
    ['plain', undefined],
    ['-', undefined],
  ])('%s', (argument, parsed) => {
    expect(containerPath(argument)).toEqual(parsed)
  })
})

describe('ends of paths', () => {
  it.each([
    ['/a/b', '/a', 'b'],
    ['/a/b/', '/a', 'b'],
    ['/a/b/.', '/a/b', '.'],
    ['/a/../b', '/', 'b'],
    ['/', '/', '/'],
    ['/.', '/', '.'],
    ['.', '.', '.'],
  ])('%s lies in %s as %s', (path, directory, name) => {
    expect(splitPath(path)).toEqual({ directory, name })
  })

  it.each(['x', 'x/', 'x/.', '.'])('%s keeps its end when it is made absolute', (path) => {
    expect(absolutePath(path)).toBe(path === '.' ? `${process.cwd()}/.` : `${process.cwd()}/${path}`)
  })
})

describe('what a copy becomes', () => {
  const [file, directory] = [false, true]
  it.each<[source: string, isDirectory: boolean, target: CopyTarget, into: string, name: string]>([
    // a file
    ['/s/f', file, { path: '/t', isDirectory: true }, '/t', 'f'],
    ['/s/f', file, { path: '/t/old', isDirectory: false }, '/t', 'old'],
    ['/s/f', file, { path: '/t/new' }, '/t', 'new'],
    // a directory
    ['/s/d', directory, { path: '/t', isDirectory: true }, '/t', 'd'],
    ['/s/d/', directory, { path: '/t/', isDirectory: true }, '/t/', 'd'],
    ['/s/d', directory, { path: '/t/new' }, '/t', 'new'],
    ['/s/d', directory, { path: '/t/new/' }, '/t', 'new'],
    // the content of a directory
    ['/s/d/.', directory, { path: '/t', isDirectory: true }, '/t', '.'],
    ['/s/d/.', directory, { path: '/t/new' }, '/t', 'new'],
  ])('%s (a directory: %s) to %o', (path, isDirectory, target, into, name) => {
    expect(planCopy({ path, isDirectory }, target)).toEqual({ directory: into, from: splitPath(path).name, to: name })
  })

  it.each<[string, boolean, CopyTarget, string]>([
    ['/s/f', file, { path: '/t/new/' }, 'no such directory'],
    ['/s/f', file, { path: '/t/new/.' }, 'no such directory'],
    ['/s/f', file, { path: '/t/old/', isDirectory: false }, 'not a directory'],
    ['/s/d', directory, { path: '/t/old', isDirectory: false }, 'cannot copy directory'],
    ['/s/d/.', directory, { path: '/t/old', isDirectory: false }, 'cannot copy directory'],
  ])('refuses %s (a directory: %s) to %o', (path, isDirectory, target, message) => {
    expect(() => planCopy({ path, isDirectory }, target)).toThrow(message)
  })

  it('keeps the name of a link that was followed', () => {
    expect(followed('/s/link', '/other/file')).toEqual({ path: '/other/file', rebaseName: 'link' })
    expect(followed('/s/link', 'file')).toEqual({ path: '/s/file', rebaseName: 'link' })
    expect(followed('/s/link/.', '/other/dir')).toEqual({ path: '/other/dir/.', rebaseName: undefined })
    expect(planCopy({ path: '/other/file', isDirectory: false, rebaseName: 'link' }, { path: '/t', isDirectory: true })).toEqual({ directory: '/t', from: 'file', to: 'link' })
  })

  it('follows links of this machine in front of the last part always, in it only when asked', () => {
    const root = mkdtempSync(join(tmpdir(), 'copy-paths-'))
    try {
      mkdirSync(join(root, 'real'))
      writeFileSync(join(root, 'real/file'), '')
      symlinkSync('real', join(root, 'dir'))
      symlinkSync('file', join(root, 'real/link'))
      expect(resolvedSource(join(root, 'dir/link'), { followLink: false })).toEqual({ path: join(root, 'real/link'), rebaseName: undefined })
      expect(resolvedSource(join(root, 'dir/link'), { followLink: true })).toEqual({ path: join(root, 'real/file'), rebaseName: 'link' })
      expect(resolvedSource(`${root}/dir/.`, { followLink: false })).toEqual({ path: `${root}/real/.`, rebaseName: undefined })
    } finally {
      rmSync(root, { recursive: true })
    }
  })
})
