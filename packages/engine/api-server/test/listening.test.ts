import { spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ApiServer } from '../src/index.ts'
import { memoryBackend } from '../src/memory.ts'

describe('listening', () => {
  let directory: string
  let path: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'api-server-'))
    path = join(directory, 'berth.sock')
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('lets owner and group in and nobody else', async () => {
    await using server = new ApiServer({ backend: memoryBackend() })
    await server.listen({ path })
    expect(statSync(path).mode & 0o777).toBe(0o660)
  })

  it.skipIf(process.getuid?.() !== 0)('gives the socket to the group asked for', async () => {
    await using server = new ApiServer({ backend: memoryBackend() })
    await server.listen({ path, gid: 1234 })
    expect(statSync(path)).toMatchObject({ uid: 0, gid: 1234 })
    chownSync(path, 0, 0)
  })

  it('replaces the socket of a process that is no more', async () => {
    spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`])
    expect(statSync(path).isSocket()).toBe(true)
    await using server = new ApiServer({ backend: memoryBackend() })
    await server.listen({ path })
    expect((await fetchPing(path)).status).toBe(200)
  })

  it('leaves the socket of a living server alone', async () => {
    await using first = new ApiServer({ backend: memoryBackend() })
    await first.listen({ path })
    await using second = new ApiServer({ backend: memoryBackend() })
    await expect(second.listen({ path })).rejects.toMatchObject({ kind: 'conflict', message: `cannot listen: another program listens on ${path}` })
    expect((await fetchPing(path)).status).toBe(200)
  })

  it('leaves a file that is no socket alone', async () => {
    writeFileSync(path, 'mine')
    await using server = new ApiServer({ backend: memoryBackend() })
    await expect(server.listen({ path })).rejects.toMatchObject({ kind: 'conflict' })
    expect(existsSync(path)).toBe(true)
  })

  it('serves several addresses and leaves no socket behind', async () => {
    const server = new ApiServer({ backend: memoryBackend() })
    await server.listen({ path })
    const port = await server.listen({ host: '127.0.0.1', port: 0 })
    expect((await fetch(`http://127.0.0.1:${port}/_ping`)).status).toBe(200)
    await using second = new ApiServer({ backend: memoryBackend() })
    await expect(second.listen({ host: '127.0.0.1', port: port ?? 0 })).rejects.toMatchObject({ kind: 'conflict' })
    await server[Symbol.asyncDispose]()
    expect(existsSync(path)).toBe(false)
  })
})

async function fetchPing(path: string): Promise<{ status: number }> {
  const { get } = await import('node:http')
  return new Promise((resolve, reject) => {
    get({ socketPath: path, path: '/_ping', agent: false }, (response) => {
      response.resume()
      resolve({ status: response.statusCode ?? 0 })
    }).once('error', reject)
  })
}
