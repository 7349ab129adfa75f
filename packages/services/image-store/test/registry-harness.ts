import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRegistry } from '@berth/registry'
import { RegistryClient } from '@berth/registry-client'
import { memorySnapshotter } from '@berth/snapshotter/memory'
import { type ImageStore, openImageStore, type ProgressMessage } from '../src/index.ts'

/** Answers a request in place of the registry, or lets it pass by answering false. */
type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean

/** A store that speaks to a real registry over HTTP, which a test can make worse. */
export interface RegistryHarness extends AsyncDisposable {
  /** `127.0.0.1:5000` */
  address: string
  root: string
  store: ImageStore
  snapshotter: ReturnType<typeof memorySnapshotter>
  intercept: Intercept | undefined
  /** `METHOD path` and the range, of all requests. */
  asked: string[]
  reopen(): Promise<void>
  pull(image: string, signal?: AbortSignal): Promise<ProgressMessage[]>
  push(image: string): Promise<ProgressMessage[]>
  import(image: string, archive: Uint8Array): Promise<void>
  contents(): Promise<{ content: string[]; ingest: string[]; snapshots: string[] }>
}

/** @param patience Milliseconds that the client waits for an answer. */
export async function startHarness({ patience = 30_000 }: { patience?: number } = {}): Promise<RegistryHarness> {
  const directory = await mkdtemp(join(tmpdir(), 'berth-images-'))
  const root = join(directory, 'images')
  const registry = await openRegistry({ root: join(directory, 'registry') })
  const server = createServer((request, response) => {
    harness.asked.push(`${request.method} ${request.url}${request.headers.range ? ` ${request.headers.range}` : ''}`)
    if (!harness.intercept?.(request, response)) void registry.handle(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new RegistryClient({ answerTimeout: patience, idleTimeout: patience, retryDelay: 1 })
  const snapshotter = memorySnapshotter()
  const open = () => openImageStore({ root, snapshotter, registry: client })
  const { signal: never } = new AbortController()
  const harness: RegistryHarness = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    root,
    store: await open(),
    snapshotter,
    intercept: undefined,
    asked: [],
    async reopen() {
      await harness.store[Symbol.asyncDispose]()
      harness.store = await open()
    },
    pull: (image, signal = never) => Array.fromAsync(harness.store.pull({ image: `${harness.address}/${image}`, tag: 'latest', signal })),
    push: (image) => Array.fromAsync(harness.store.push({ image: `${harness.address}/${image}`, tag: 'latest', signal: never })),
    async import(image, archive) {
      const source = (async function* () {
        yield archive
      })()
      await Array.fromAsync(harness.store.import({ source, repo: `${harness.address}/${image}`, tag: 'latest', changes: ['CMD ["sh"]'], signal: never }))
    },
    contents: async () => ({
      content: await readdir(join(root, 'content/sha256')),
      ingest: await readdir(join(root, 'ingest')),
      snapshots: (await snapshotter.list()).map(({ name }) => name),
    }),
    async [Symbol.asyncDispose]() {
      await harness.store[Symbol.asyncDispose]()
      await client[Symbol.asyncDispose]()
      server.closeAllConnections()
      server.close()
      await registry[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
  return harness
}
