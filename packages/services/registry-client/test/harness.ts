import type { Logger } from '@berth/core'
import { digestOf, mediaTypes, parseReference, type Reference } from '@berth/oci'
import { afterEach } from 'vitest'
import { RegistryClient, type RegistryClientOptions } from '../src/index.ts'

// Every test here uses these secrets and no others; none may be read in an error or a log, whatever went wrong.
export const auth = { username: 'me', password: 'hunter2' }
export const basic = `Basic ${Buffer.from('me:hunter2').toString('base64')}`
const secrets = /hunter2|aHVudGVyMg|h1bnRlcjI|odW50ZXIy|secret-token|secret-refresh|secret-signature/

export const call = { signal: new AbortController().signal }
export const content = Buffer.alloc(300_000, 'content')
export const blob = { mediaType: mediaTypes.ociLayer as string, digest: digestOf(content), size: content.length }
export const config = Buffer.from('{"architecture":"arm","os":"linux","variant":"v7","rootfs":{"type":"layers","diff_ids":[]}}')
export const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length },
  layers: [blob],
})

const clients: RegistryClient[] = []
const heard: unknown[] = []
const log = (...line: unknown[]) => void heard.push(line)
const logger: Logger = { debug: log, info: log, warn: log, error: log }

/** A client whose failures and log are looked through for secrets after the test. */
export function newClient(options: RegistryClientOptions = {}): RegistryClient {
  const client = new RegistryClient({ retryDelay: 1, logger, ...options })
  clients.push(client)
  return new Proxy(client, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...parameters: unknown[]): unknown => {
        const result: unknown = member.apply(target, parameters)
        if (result instanceof Promise) result.catch((error: unknown) => void heard.push(error))
        return isGenerator(result) ? overheard(result) : result
      }
    },
  })
}

afterEach(async () => {
  for (const client of clients.splice(0)) await client[Symbol.asyncDispose]()
  const all = heard.splice(0).flatMap((each) => textsOf(each)).join('\n')
  const found = secrets.exec(all)
  if (found) throw new Error(`a secret was told: …${all.slice(Math.max(found.index - 300, 0), found.index + 20)}`)
})

export const at = (address: string, name = 'app:v1'): Reference => parseReference(`${address}/${name}`)

export async function read(client: RegistryClient, address: string, options: Partial<Parameters<RegistryClient['blob']>[2]> = {}): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(client.blob(at(address), blob, { ...call, ...options })))
}

/** How many connections this process has open. */
export function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => /TCPSocketWrap|TLSWrap/.test(name)).length
}

/** All that can be read in a value: its texts and bytes, those of its hidden properties, and those of what it is caused by. */
function textsOf(value: unknown, seen = new Set<unknown>()): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null || seen.has(value)) return []
  seen.add(value)
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1')]
  return Reflect.ownKeys(value).flatMap((key) => textsOf(Reflect.get(value, key) as unknown, seen))
}

function isGenerator(value: unknown): value is AsyncGenerator<Uint8Array, void, undefined> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

async function* overheard(source: AsyncGenerator<Uint8Array, void, undefined>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source
  } catch (error) {
    heard.push(error)
    throw error
  }
}
