import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, type RunningCommand } from './command.ts'
import type { TestHost } from './host.ts'

export interface DebianRegistryOptions {
  /** 5000 unless told otherwise. */
  port?: number
  /** The only user who may read and write. */
  user?: { name: string; password: string }
}

/** Debian's docker-registry on a test host's loopback. */
export class DebianRegistry {
  readonly address: string
  readonly #process: RunningCommand

  private constructor(address: string, process: RunningCommand) {
    this.address = address
    this.#process = process
  }

  static async start(host: TestHost, { port = 5000, user }: DebianRegistryOptions = {}): Promise<DebianRegistry> {
    const address = `127.0.0.1:${port}`
    const root = join(host.dir, `registry-${port}`)
    mkdirSync(root, { recursive: true })
    const users = join(root, 'users')
    if (user) writeFileSync(users, execFileSync('htpasswd', ['-niB', user.name], { input: user.password }))
    writeFileSync(
      join(root, 'config.yml'),
      `version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: ${root} }, delete: { enabled: true } }\nhttp: { addr: '${address}' }\n${user ? `auth: { htpasswd: { realm: test, path: ${users} } }\n` : ''}`,
    )
    const registry = new DebianRegistry(address, host.spawn('docker-registry', ['serve', join(root, 'config.yml')]))
    await eventually(async () => ((await host.fetch(`http://${address}/`)).code === 0 ? true : undefined), { what: 'the start of docker-registry' })
    return registry
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.child.exitCode === null) this.#process.kill()
    await this.#process.done
  }
}
