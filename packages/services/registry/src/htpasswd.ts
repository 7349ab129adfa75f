import { createHmac, randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import type { PasswordRequest } from './password-worker.ts'

const idleTimeout = 5000
const maxRemembered = 1000
/** Compared with when there is no such user, so that the time tells nothing. */
const nobody = '$2y$10$abcdefghijklmnopqrstuuXGzfJOKNyPDGN0TPmDS3dDDKIYNJbMy'

/**
 * Users and passwords in a file that Apache's `htpasswd -B` writes. It is read again when it has changed. Only bcrypt is taken, as other registries do; the comparison runs
 * in a thread, and one that succeeded is remembered by a keyed hash, since clients send their password with each request.
 */
export class HtpasswdFile implements AsyncDisposable {
  readonly #path: string
  readonly #key = randomBytes(32)
  readonly #remembered = new Set<string>()
  #read: { mtimeMs: number; hashes: Map<string, string> } | undefined
  #worker: Worker | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #waiting: PromiseWithResolvers<boolean>[] = []

  constructor(path: string) {
    this.#path = path
  }

  /** Throws what the file system throws for a file that cannot be read. */
  async verify(user: string, password: string): Promise<boolean> {
    const hash = (await this.#hashes()).get(user)
    const known = createHmac('sha256', this.#key).update(JSON.stringify([user, password, hash])).digest('base64')
    if (hash !== undefined && this.#remembered.has(known)) return true
    const isRight = (await this.#compare({ password, hash: hash ?? nobody })) && hash !== undefined
    if (!isRight) return false
    if (this.#remembered.size >= maxRemembered) this.#remembered.clear()
    this.#remembered.add(known)
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer)
    await this.#worker?.terminate()
  }

  async #hashes(): Promise<Map<string, string>> {
    const { mtimeMs } = await stat(this.#path)
    if (this.#read?.mtimeMs === mtimeMs) return this.#read.hashes
    const hashes = parseHtpasswd(await readFile(this.#path, 'utf8'))
    this.#read = { mtimeMs, hashes }
    return hashes
  }

  #compare(request: PasswordRequest): Promise<boolean> {
    clearTimeout(this.#timer)
    const waiting = Promise.withResolvers<boolean>()
    this.#waiting.push(waiting)
    this.#worker ??= this.#start()
    this.#worker.postMessage(request)
    return waiting.promise
  }

  #start(): Worker {
    const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './password-worker.ts' : './password-worker.js', import.meta.url), { name: 'passwords' })
    worker.unref()
    worker.on('message', (isRight: boolean) => {
      this.#waiting.shift()?.resolve(isRight)
      if (this.#waiting.length > 0) return
      this.#timer = setTimeout(() => {
        this.#worker = undefined
        void worker.terminate()
      }, idleTimeout).unref()
    })
    const end = (error: unknown) => {
      if (this.#worker === worker) this.#worker = undefined
      for (const { reject } of this.#waiting.splice(0)) reject(error)
    }
    worker.on('error', end)
    worker.on('exit', () => end(new Error('the thread that compares passwords ended')))
    return worker
  }
}

/** The bcrypt hashes of a file, by user. Comments, other hashes and lines that are none are left out. */
export function parseHtpasswd(content: string): Map<string, string> {
  const hashes = new Map<string, string>()
  for (const line of content.split('\n')) {
    const [, user, hash] = /^([^:#\s][^:]*):(\$2[aby]\$(?:0[4-9]|1\d)\$[./A-Za-z0-9]{53})\s*$/.exec(line) ?? []
    if (user !== undefined && hash !== undefined) hashes.set(user, hash)
  }
  return hashes
}
