import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CommandOptions, type CommandResult, eventually, RunningCommand } from './command.ts'
import { Daemon, type DaemonOptions } from './daemon.ts'
import { DebianRegistry, type DebianRegistryOptions } from './debian-registry.ts'
import { takeSnapshot, type HostSnapshot, differences } from './cleanliness.ts'

const peer = join(import.meta.dirname, '../fixtures/peer.ts')

/** Addresses of a test host: what its containers see as the world. */
export const addresses = { host: '10.99.0.1', outside: '10.99.0.2' } as const

/**
 * A machine for one test: a mount, network and process namespace of its own on this kernel, a directory for its roots, and behind a cable
 * a neighbour (`outside`) that plays the rest of the world. Disposing it proves that nothing was left and then ends every process in it.
 *
 * @example
 * await using host = await TestHost.start()
 * const daemon = await host.startDaemon({ images: ['busybox'] })
 * await daemon.docker('run', '--rm', 'busybox', 'true')
 */
export class TestHost {
  readonly id: string
  readonly dir: string
  readonly cgroupParent: string
  readonly #holder: ChildProcess
  readonly #pid: number
  readonly #started: { [Symbol.asyncDispose](): Promise<void> }[] = []
  #clean: HostSnapshot | undefined

  private constructor(id: string, dir: string, holder: ChildProcess, pid: number) {
    this.id = id
    this.dir = dir
    this.cgroupParent = `/berth-e2e-${id}`
    this.#holder = holder
    this.#pid = pid
  }

  static async start(): Promise<TestHost> {
    const id = randomBytes(4).toString('hex')
    const dir = mkdtempSync(join(tmpdir(), `berth-e2e-${id}-`))
    // tini is process 1: it takes over orphans, as an init does, and with it everything in the namespace ends.
    const holder = spawn('unshare', ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private', 'tini-static', '-s', '--', 'cat'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const child = (pid: number): number | undefined => {
      const first = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]
      return first ? Number(first) : undefined
    }
    const pid = await eventually(() => {
      const init = child(holder.pid ?? 0)
      return init !== undefined && child(init) !== undefined ? init : undefined
    }, { what: 'the namespaces of the test host' })
    const host = new TestHost(id, dir, holder, pid)
    host.#setUp()
    host.#clean = takeSnapshot(host.#view())
    return host
  }

  #setUp(): void {
    const { host, outside } = addresses
    this.#sh(`
      mount -t tmpfs -o mode=755 tmpfs /run
      mkdir -p /run/netns /run/lock
      ip link set lo up
      ip netns add outside
      ip link add wan type veth peer name eth0 netns outside
      ip address add ${host}/24 dev wan
      ip link set wan up
      ip -n outside address add ${outside}/24 dev eth0
      ip -n outside link set eth0 up
      ip -n outside link set lo up
      ip route add default via ${outside}
      echo 'nameserver ${outside}' > ${this.dir}/resolv.conf
      touch /etc/resolv.conf
      mount --bind ${this.dir}/resolv.conf /etc/resolv.conf
    `)
  }

  #enter(): string[] {
    return ['--target', String(this.#pid), '--mount', '--net', '--pid', '--wdns=/']
  }

  #view(): { enter: string[]; dir: string; cgroupParent: string } {
    return { enter: this.#enter(), dir: this.dir, cgroupParent: this.cgroupParent }
  }

  #sh(script: string): string {
    return execFileSync('nsenter', [...this.#enter(), 'sh', '-ec', script], { encoding: 'utf8' })
  }

  /** Starts a program on this host. */
  spawn(program: string, args: readonly string[], options?: CommandOptions): RunningCommand {
    return new RunningCommand('nsenter', [...this.#enter(), program, ...args], options)
  }

  /** Runs a program on this host to its end. */
  run(program: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return this.spawn(program, args, options).done
  }

  /** Runs a shell script on this host; fails when it fails. */
  async sh(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.run('sh', ['-ec', script])
    if (code !== 0) throw new Error(`${script}: ${stderr}${stdout}`)
    return stdout
  }

  /** Starts a program on the neighbour, which has the address `addresses.outside`. */
  spawnOutside(program: string, args: readonly string[], options?: CommandOptions): RunningCommand {
    return this.spawn('ip', ['netns', 'exec', 'outside', program, ...args], options)
  }

  /** Fetches a page as a program on this host does, or on the neighbour. The code is 0 when there was one. */
  fetch(url: string, { outside = false, seconds = 3 } = {}): Promise<CommandResult> {
    const args = [peer, 'fetch', url, String(seconds)]
    return (outside ? this.spawnOutside(process.execPath, args) : this.spawn(process.execPath, args)).done
  }

  /** Listens on a TCP port until it is ended; says `listening`, and who connected. */
  async listen(address: string, port: number, { outside = false } = {}): Promise<RunningCommand> {
    const args = [peer, 'listen', address, String(port)]
    const listener = outside ? this.spawnOutside(process.execPath, args) : this.spawn(process.execPath, args)
    await listener.saw(/listening/)
    return listener
  }

  async startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = await Daemon.start(this, options)
    this.#started.push(daemon)
    return daemon
  }

  async startDebianRegistry(options?: DebianRegistryOptions): Promise<DebianRegistry> {
    const registry = await DebianRegistry.start(this, options)
    this.#started.push(registry)
    return registry
  }

  /** What is on this host now that was not there when it started, one line each. */
  leftovers(): string[] {
    return this.#clean ? differences(this.#clean, takeSnapshot(this.#view())) : []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const part of this.#started.toReversed()) await part[Symbol.asyncDispose]()
      // Processes end a moment after what they belong to.
      await eventually(() => (this.leftovers().length === 0 ? true : undefined), { seconds: 3 }).catch(() => {})
      const left = this.leftovers()
      if (left.length > 0) throw new Error(`the test left behind:\n${left.join('\n')}`)
    } finally {
      const ended = new Promise((resolve) => this.#holder.once('close', resolve))
      process.kill(this.#pid, 'SIGKILL') // with process 1 ends every process of its namespace
      await ended
      removeCgroups(this.cgroupParent)
      rmSync(this.dir, { recursive: true, force: true })
    }
  }
}

/** The parent group itself is the daemon's to keep, as it serves every container; who gave it to the daemon removes it. */
export function removeCgroups(parent: string): void {
  for (const controller of ['', ...readdirSync('/sys/fs/cgroup')]) {
    const dir = join('/sys/fs/cgroup', controller, parent)
    if (!existsSync(dir)) continue
    const groups = (at: string): string[] => [
      ...readdirSync(at, { withFileTypes: true }).filter((entry) => entry.isDirectory()).flatMap((entry) => groups(join(at, entry.name))),
      at,
    ] // prettier-ignore
    for (const group of groups(dir)) execFileSync('rmdir', [group])
  }
}

