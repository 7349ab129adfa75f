import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiServer, type Backend } from '@berth/api-server'
import { memoryBackend } from '@berth/api-server/memory'
import { connectEngine, type EngineClient } from '../src/index.ts'

export interface TestEngine extends AsyncDisposable {
  engine: EngineClient
  backend: Backend
  host: string
  directory: string
}

/** A client of an API server over the engine in memory, some of whose methods may be replaced. */
export async function serveEngine(change: (backend: Backend) => void = () => {}): Promise<TestEngine> {
  const directory = mkdtempSync(join(tmpdir(), 'api-client-'))
  const backend = memoryBackend()
  change(backend)
  const server = new ApiServer({ backend })
  await server.listen({ path: join(directory, 'berth.sock') })
  const host = `unix://${directory}/berth.sock`
  const engine = await connectEngine({ host })
  return {
    engine,
    backend,
    host,
    directory,
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
}

/** A server that answers every request with the same bytes, and then ends the connection or not. */
export async function serveBytes(answer: string | Buffer, { end = true } = {}): Promise<AsyncDisposable & { host: string; requests: string[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'api-client-'))
  const sockets = new Set<Socket>()
  const requests: string[] = []
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', (request) => {
      requests.push(request.toString())
      if (end) socket.end(answer)
      else socket.write(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(join(directory, 'engine.sock'), resolve))
  return {
    host: `unix://${directory}/engine.sock`,
    requests,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      rmSync(directory, { recursive: true })
    },
  }
}

export async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const value of values) all.push(value)
  return all
}
