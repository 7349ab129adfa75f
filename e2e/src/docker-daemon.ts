import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { busyboxTar } from './busybox-image.ts'
import { type CommandOptions, type CommandResult, eventually, type RunningCommand } from './command.ts'
import { removeCgroups, type TestHost } from './host.ts'

const repository = join(import.meta.dirname, '../..')
/** Where the bootstrap and the benchmarks unpack Debian's packages. */
const unpacked = ['debian', 'bench'].map((name) => join(repository, '.cache', name))

/** A dockerd of Docker's own, to compare with; in a network of its own on a test host, with its roots outside the host's directory. */
export class DockerDaemon {
  readonly #host: TestHost
  readonly #dir: string
  readonly #cgroupParent: string
  readonly #process: RunningCommand

  private constructor(host: TestHost) {
    this.#host = host
    this.#dir = mkdtempSync(join(tmpdir(), 'berth-dockerd-'))
    this.#cgroupParent = `${host.cgroupParent}-docker`
    const paths = unpacked.flatMap((root) => [join(root, 'usr/sbin'), join(root, 'usr/bin')])
    const flags = ['--data-root', join(this.#dir, 'data'), '--exec-root', join(this.#dir, 'exec'), '--pidfile', join(this.#dir, 'pid'), '-H', `unix://${this.socket}`]
    const own = ['--iptables=false', '--cgroup-parent', this.#cgroupParent, '--init-path', '/usr/bin/tini-static']
    const script = 'ip link set lo up && exec dockerd "$@"'
    this.#process = host.spawn('unshare', ['--net', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...flags, ...own], { env: { PATH: [...paths, process.env['PATH']].join(':') } })
  }

  /** Whether this machine has one. */
  static isInstalled(): boolean {
    return [...unpacked.map((root) => join(root, 'usr/sbin')), ...(process.env['PATH'] ?? '').split(':')].some((path) => existsSync(join(path, 'dockerd')))
  }

  static async start(host: TestHost): Promise<DockerDaemon> {
    const daemon = new DockerDaemon(host)
    await eventually(
      async () => {
        if (daemon.#process.child.exitCode !== null) throw new Error('dockerd ended')
        return existsSync(daemon.socket) && (await daemon.docker(['version'])).code === 0 ? true : undefined
      },
      { what: 'the start of dockerd', seconds: 60 },
    ).catch((error: unknown) => {
      throw new Error(`dockerd did not start: ${daemon.#process.stderr.slice(-2000)}`, { cause: error })
    })
    await daemon.ok('import', '--change', 'CMD ["sh"]', busyboxTar(), 'busybox:latest')
    return daemon
  }

  get socket(): string {
    return join(this.#dir, 'docker.sock')
  }

  get dataRoot(): string {
    return join(this.#dir, 'data')
  }

  docker(args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return this.#host.run('docker', ['-H', `unix://${this.socket}`, ...args], { ...options, env: { DOCKER_CONFIG: join(this.#dir, 'config'), ...options?.env } })
  }

  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(args)
    if (code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`)
    return stdout.replace(/\n$/, '')
  }

  /** What it gave to the OCI runtime for a running container. */
  specOf(id: string): unknown {
    return JSON.parse(readFileSync(join(this.#dir, 'exec/containerd/daemon/io.containerd.runtime.v2.task/moby', id, 'config.json'), 'utf8'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const containers = await this.ok('ps', '-aq')
    if (containers) await this.ok('rm', '-f', '-v', ...containers.split('\n'))
    await this.#host.sh(`kill -TERM ${readFileSync(join(this.#dir, 'pid'), 'utf8')}`)
    await this.#process.done
    removeCgroups(this.#cgroupParent)
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
