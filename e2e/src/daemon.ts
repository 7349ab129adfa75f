import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxTar } from './busybox-image.ts'
import { type CommandOptions, type CommandResult, eventually, type RunningCommand } from './command.ts'
import type { TestHost } from './host.ts'

const repository = join(import.meta.dirname, '../..')

export interface DaemonOptions {
  /** Further flags of berthd. */
  flags?: string[]
  /** Roots under the host's directory; `berth` unless told otherwise, so that a second daemon can share or avoid them. */
  name?: string
  /** Makes `busybox:latest` by `docker import`; true unless told otherwise. */
  busybox?: boolean
}

/** A berthd that runs on a test host, and the clients that speak to it. */
export class Daemon {
  readonly host: TestHost
  readonly socket: string
  readonly dataRoot: string
  readonly execRoot: string
  readonly #flags: string[]
  #process: RunningCommand
  #over = false

  private constructor(host: TestHost, { flags = [], name = 'berth' }: DaemonOptions) {
    this.host = host
    this.dataRoot = join(host.dir, name, 'data')
    this.execRoot = join(host.dir, name, 'exec')
    this.socket = join(host.dir, name, 'berth.sock')
    mkdirSync(join(host.dir, name), { recursive: true })
    this.#flags = flags
    this.#process = this.#spawn()
  }

  static async start(host: TestHost, options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(host, options)
    await daemon.ready()
    if (options.busybox ?? true) await daemon.ok('import', '--change', 'CMD ["sh"]', busyboxTar(), 'busybox:latest')
    return daemon
  }

  #spawn(): RunningCommand {
    const program = join(repository, 'node_modules/.bin/berthd')
    const roots = ['--data-root', this.dataRoot, '--exec-root', this.execRoot, '--pidfile', `${this.socket}.pid`, '--cgroup-parent', this.host.cgroupParent]
    return this.host.spawn(program, [...roots, '-H', `unix://${this.socket}`, ...this.#flags])
  }

  /** What the daemon wrote to its log. */
  get log(): string {
    return this.#process.stdout + this.#process.stderr
  }

  async ready(): Promise<void> {
    await eventually(
      async () => {
        if (this.#process.child.exitCode !== null) throw new Error(`berthd ended: ${this.log}`)
        if (!existsSync(this.socket)) return undefined
        return (await this.docker(['version'])).code === 0 ? true : undefined
      },
      { what: `the start of berthd (${this.log})` },
    )
  }

  /** As seen inside the host's process namespace. */
  get pid(): number {
    return Number(readFileSync(`${this.socket}.pid`, 'utf8'))
  }

  /** Runs the official command line. */
  docker(args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return this.spawnDocker(args, options).done
  }

  spawnDocker(args: readonly string[], options?: CommandOptions): RunningCommand {
    return this.host.spawn('docker', ['-H', `unix://${this.socket}`, ...args], { ...options, env: { DOCKER_CONFIG: join(this.host.dir, 'docker'), ...options?.env } })
  }

  /** Runs the official command line, expects it to succeed, and gives its standard output without the newline at its end. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(args)
    if (code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${code}: ${stderr}${stdout}\n--- berthd\n${this.log.slice(-4000)}`)
    return stdout.replace(/\n$/, '')
  }

  /** Runs our own command line. */
  berth(args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return this.host.run(join(repository, 'node_modules/.bin/berth'), ['-H', `unix://${this.socket}`, ...args], { ...options, env: { DOCKER_CONFIG: join(this.host.dir, 'docker'), ...options?.env } })
  }

  /** Runs one of the two command lines, expects it to succeed, and gives its standard output without the newline at its end. */
  async by(client: 'docker' | 'berth', args: readonly string[], options?: CommandOptions): Promise<string> {
    const { code, stdout, stderr } = await this[client](args, options)
    if (code !== 0) throw new Error(`${client} ${args.join(' ')} ended with ${code}: ${stderr}${stdout}\n--- berthd\n${this.log.slice(-4000)}`)
    return stdout.replace(/\n$/, '')
  }

  /** Ends the daemon without warning, as a crash does. */
  async crash(): Promise<void> {
    await this.host.sh(`kill -9 ${this.pid}`)
    await this.#process.done
  }

  /** Ends the daemon in order; gives its exit code. */
  async stop(): Promise<number> {
    await this.host.sh(`kill -TERM ${this.pid}`)
    return (await this.#process.done).code
  }

  /** Starts it again over the same roots. */
  async restart(): Promise<void> {
    this.#process = this.#spawn()
    await this.ready()
  }

  /** Removes everything that users made, and ends the daemon in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return
    this.#over = true
    if (this.#process.child.exitCode !== null) await this.restart()
    const containers = await this.ok('ps', '-aq')
    if (containers) await this.ok('rm', '-f', '-v', ...containers.split('\n'))
    const networks = await this.ok('network', 'ls', '-q', '--filter', 'type=custom')
    if (networks) await this.ok('network', 'rm', ...networks.split('\n'))
    const volumes = await this.ok('volume', 'ls', '-q')
    if (volumes) await this.ok('volume', 'rm', ...volumes.split('\n'))
    const code = await this.stop()
    if (code !== 0) throw new Error(`berthd ended with ${code}: ${this.log}`)
  }
}
