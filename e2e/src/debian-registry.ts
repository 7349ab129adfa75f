import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KeyPair } from './authority.ts'
import type { RunningCommand } from './command.ts'
import type { TestHost } from './host.ts'

export interface DebianRegistryOptions {
  /** On loopback; 5000 unless told otherwise. */
  port?: number
  /** Where it listens instead. */
  address?: string
  /** Its certificate, and the authority whose clients it talks to alone. */
  tls?: KeyPair & { clientAuthority: string }
  /** The only user who may read and write. */
  user?: { name: string; password: string }
}

/** Debian's docker-registry on a test host. */
export class DebianRegistry {
  readonly address: string
  readonly #process: RunningCommand

  private constructor(address: string, process: RunningCommand) {
    this.address = address
    this.#process = process
  }

  static async start(host: TestHost, { port = 5000, address = `127.0.0.1:${port}`, user, tls }: DebianRegistryOptions = {}): Promise<DebianRegistry> {
    const root = join(host.dir, `registry-${address.split(':')[1]}`)
    mkdirSync(root, { recursive: true })
    const users = join(root, 'users')
    if (user) writeFileSync(users, execFileSync('htpasswd', ['-niB', user.name], { input: user.password }))
    writeFileSync(
      join(root, 'config.yml'),
      `version: 0.1\nlog: { level: info, accesslog: { disabled: true } }\nstorage: { filesystem: { rootdirectory: ${root} }, delete: { enabled: true } }\nhttp: { addr: '${address}'${tls ? `, tls: { certificate: ${tls.cert}, key: ${tls.key}, clientcas: [${tls.clientAuthority}] }` : ''} }\n${user ? `auth: { htpasswd: { realm: test, path: ${users} } }\n` : ''}`,
    )
    const registry = host.spawn('docker-registry', ['serve', join(root, 'config.yml')])
    await registry.saw(/listening on/)
    return new DebianRegistry(address, registry)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.child.exitCode === null) this.#process.kill()
    await this.#process.done
  }
}
