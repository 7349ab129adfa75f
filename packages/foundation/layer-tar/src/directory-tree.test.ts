import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('copes with more files in one directory than a call takes arguments', () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-tree-'))
  try {
    mkdirSync(join(root, 'many'))
    for (let index = 0; index < 13_000; index++) closeSync(openSync(join(root, 'many', String(index)), 'w'))
    // With a small stack, so that so few are too many.
    const script = `
      import { removeTree, usageOf } from ${JSON.stringify(join(import.meta.dirname, 'directory-tree.ts'))}
      process.stdout.write(String(usageOf(${JSON.stringify(root)}).inodes))
      removeTree(${JSON.stringify(root)})`
    expect(execFileSync(process.execPath, ['--stack-size=80', '--conditions=@berth/source', '--input-type=module', '-e', script], { encoding: 'utf8' })).toBe('13001')
    expect(existsSync(root)).toBe(false)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
