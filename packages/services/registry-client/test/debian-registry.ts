import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const borrowed = new URL('../../../../.cache/debian/usr/bin', import.meta.url).pathname

/** Where Debian's docker-registry is, if it is here. */
export const debianRegistryPath = [borrowed, ...(process.env['PATH'] ?? '').split(delimiter)].map((dir) => join(dir, 'docker-registry')).find((path) => existsSync(path))

export interface DebianRegistryOptions {
  /** Lets in only the user `me` with the password `hunter2`. */
  isPrivate?: boolean
  /** Files. With an authority for clients, they have to have a certificate. */
  tls?: { certificate: string; key: string; clientcas?: string[] }
}

/** bcrypt, as htpasswd makes it. */
const passwords = 'me:$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n'

/** Debian's docker-registry, in a directory of its own. */
export class DebianRegistry implements AsyncDisposable {
  readonly address: string
  readonly #process: ChildProcess
  readonly #root: string

  private constructor(address: string, process: ChildProcess, root: string) {
    this.address = address
    this.#process = process
    this.#root = root
  }

  static async start({ isPrivate = false, tls }: DebianRegistryOptions = {}): Promise<DebianRegistry> {
    if (!debianRegistryPath) throw new Error('docker-registry is not installed')
    const root = await mkdtemp(join(tmpdir(), 'berth-debian-registry-'))
    const config = {
      version: '0.1',
      log: { level: 'info' },
      storage: { filesystem: { rootdirectory: join(root, 'data') }, delete: { enabled: true } },
      http: { addr: '127.0.0.1:0', ...(tls && { tls }) },
      ...(isPrivate && { auth: { htpasswd: { realm: 'test', path: join(root, 'htpasswd') } } }),
    }
    await writeFile(join(root, 'htpasswd'), passwords)
    await writeFile(join(root, 'config.yml'), JSON.stringify(config))
    const process = spawn(debianRegistryPath, ['serve', join(root, 'config.yml')], { stdio: ['ignore', 'ignore', 'pipe'], env: {} })
    let said = ''
    const address = await new Promise<string | undefined>((resolve) => {
      // Read to the end, or the registry dies of the broken pipe.
      process.stderr!.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        const found = /listening on (127\.0\.0\.1:\d+)/.exec(said)?.[1]
        if (found) resolve(found)
      })
      process.once('exit', () => resolve(undefined))
    })
    if (address) return new DebianRegistry(address, process, root)
    await rm(root, { recursive: true })
    throw new Error(`docker-registry did not start: ${said}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGKILL')
      await once(this.#process, 'exit')
    }
    await rm(this.#root, { recursive: true })
  }
}
