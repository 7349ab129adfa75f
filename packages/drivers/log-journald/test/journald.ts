import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { UnixDatagrams } from '@berth/linux'

const program = '/lib/systemd/systemd-journald'

/** Why there is no journald here; undefined when there is one. */
export const missing = existsSync(program) ? undefined : 'systemd-journald is not there'

export type JournalEntry = Record<string, string | number[] | undefined>

/** A real journald with a /run of its own. */
export class Journald implements AsyncDisposable {
  readonly #holder: ChildProcess
  readonly #root: string
  #process: ChildProcess | undefined

  private constructor(holder: ChildProcess) {
    this.#holder = holder
    this.#root = `/proc/${holder.pid}/root`
  }

  static async start(): Promise<Journald> {
    const script = 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/systemd/system /run/log/journal && echo ready && exec cat'
    const holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
    await new Promise((resolve) => holder.stdout!.once('data', resolve))
    const journald = new Journald(holder)
    await journald.up()
    return journald
  }

  get socket(): string {
    return `${this.#root}/run/systemd/journal/socket`
  }

  async up(): Promise<void> {
    this.#process = spawn('nsenter', ['--target', String(this.#holder.pid), '--mount', program], { stdio: 'ignore' })
    const isUp = (): boolean => {
      try {
        UnixDatagrams.connect(this.socket)[Symbol.dispose]()
        return true
      } catch {
        return false
      }
    }
    while (!isUp()) await new Promise((resolve) => setTimeout(resolve, 10))
  }

  async down(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  /** What it has of a container, as `journalctl` reads it. */
  read(container: string): JournalEntry[] {
    const args = ['-D', `${this.#root}/run/log/journal`, '-o', 'json', '--all', '-q', `CONTAINER_ID_FULL=${container}`]
    const text = execFileSync('journalctl', args, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] })
    return text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as JournalEntry)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down()
    const ended = new Promise((resolve) => this.#holder.once('exit', resolve))
    this.#holder.kill('SIGKILL')
    await ended
  }
}
