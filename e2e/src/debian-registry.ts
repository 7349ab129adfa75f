import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, type RunningCommand } from './command.ts'
import type { TestHost } from './host.ts'

/** Debian's docker-registry on a test host's loopback. */
export class DebianRegistry {
  readonly address = '127.0.0.1:5000'
  readonly #process: RunningCommand

  private constructor(process: RunningCommand) {
    this.#process = process
  }

  static async start(host: TestHost): Promise<DebianRegistry> {
    const root = join(host.dir, 'registry')
    mkdirSync(root, { recursive: true })
    writeFileSync(
      join(root, 'config.yml'),
      `version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: ${root} }, delete: { enabled: true } }\nhttp: { addr: '127.0.0.1:5000' }\n`,
    )
    const registry = new DebianRegistry(host.spawn('docker-registry', ['serve', join(root, 'config.yml')]))
    await eventually(async () => ((await host.fetch('http://127.0.0.1:5000/v2/')).code === 0 ? true : undefined), { what: 'the start of docker-registry' })
    return registry
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.child.exitCode === null) this.#process.kill()
    await this.#process.done
  }
}
