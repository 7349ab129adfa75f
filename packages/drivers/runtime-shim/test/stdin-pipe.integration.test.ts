import { constants, mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { mknod } from '@berth/linux'
import { StdinPipe } from '../src/stdin-pipe.ts'

let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stdin-pipe-'))
  path = join(directory, 'stdin')
  mknod(path, constants.S_IFIFO | 0o600)
})
afterEach(() => rmSync(directory, { recursive: true }))

it('sends nothing before somebody reads, and then all of it', async () => {
  const pipe = new StdinPipe(path)
  pipe.connect()
  const sent = pipe.socket.then((socket) => socket?.end('first words'))
  // Opening the reading end waits for a writer: ours, although it has sent nothing.
  await using reader = await open(path, 'r')
  expect(await reader.readFile('utf8')).toBe('first words')
  await sent
  pipe.close()
})

it('ends without a reader when the process ends', async () => {
  const pipe = new StdinPipe(path)
  pipe.connect()
  pipe.close()
  expect(await pipe.socket).toBeUndefined()
})
