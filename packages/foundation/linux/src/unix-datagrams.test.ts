import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UnixDatagrams } from './unix-datagrams.ts'

describe('UnixDatagrams', () => {
  let dir: string
  let path: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'datagrams-'))
    path = join(dir, 'socket')
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  it('tells apart what is wrong with a receiver', async () => {
    expect(() => UnixDatagrams.connect(path)).toThrow(expect.objectContaining({ code: 'ENOENT' }) as Error)
    expect(() => UnixDatagrams.connect(join(dir, 'x'.repeat(120)))).toThrow(expect.objectContaining({ code: 'EINVAL' }) as Error)
    const stream = createServer()
    await new Promise<void>((resolve) => stream.listen(path, resolve))
    expect(() => UnixDatagrams.connect(path)).toThrow(expect.objectContaining({ code: 'EPROTOTYPE' }) as Error)
    await new Promise((resolve) => stream.close(resolve))
  })
})
