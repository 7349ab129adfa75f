import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('records can be changed, removed and read again on a disk that is full', () => {
  const dir = mkdtempSync(join(tmpdir(), 'core-full-disk-'))
  try {
    const script = `mount -t tmpfs -o size=6m tmpfs ${dir} && exec "$0" --conditions=@berth/source ${join(import.meta.dirname, 'fill-disk-process.ts')} ${dir}`
    const said = execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-ec', script, process.execPath], { encoding: 'utf8' })
    expect(said).toBe('{"grew":[0,0],"left":{"n":100,"size":3000}}{"n":100}')
  } finally {
    rmdirSync(dir)
  }
})
