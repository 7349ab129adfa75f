import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import type { ContainerConfig, HostConfig } from '@berth/api-types'
import { BerthError, newId } from '@berth/core'
import { removeBundle } from '../life/remove-bundle.ts'
import { type LocalContainers, type LocalContainersOptions, openLocalContainers } from './local-containers.ts'

/** One of `image`, `rootfs` and `bundle` says what runs. */
export interface RunContainerOptions extends LocalContainersOptions {
  /** Path of an archive (`docker save`, OCI) or of an OCI layout. */
  image?: string
  /** Path of a directory with files. They are not changed: what the container writes is gone with it. */
  rootfs?: string
  /** Path of an OCI bundle, whose `config.json` says everything; what is written goes into its root file system. */
  bundle?: string
  /** The image's own when absent. */
  command?: readonly string[]
  /** `NAME=value` */
  env?: readonly string[]
  /** Everything else, in the words of the Docker Engine API. */
  config?: ContainerConfig
  host?: HostConfig
  /** What the process reads; nothing when absent. */
  stdin?: string | Uint8Array | Readable
  /** Takes the output as it comes; absent, it is collected. */
  onOutput?: (stream: 'stdout' | 'stderr', chunk: Buffer) => void
  /** Kills the container; its exit code is 137 then. */
  signal?: AbortSignal
}

export interface RunResult {
  /** 128 + n for a process ended by signal n. */
  exitCode: number
  /** Empty when `onOutput` takes it. */
  stdout: string
  stderr: string
}

/**
 * Runs a container to its end, in this process and without a daemon, and leaves nothing behind; what it leaves when the process is killed, the next call removes. Needs root.
 *
 * @throws `not-found` for what is not there to run, `invalid-argument` for a command that cannot be run
 * @example
 * const { exitCode, stdout } = await runContainer({ image: 'busybox.tar', command: ['echo', 'hello'] })
 */
export async function runContainer(options: RunContainerOptions): Promise<RunResult> {
  const { image, rootfs, bundle } = options
  const [what, ...others] = [image, rootfs, bundle].filter((path) => path !== undefined)
  if (what === undefined || others.length > 0) throw new BerthError('invalid-argument', 'RUN_WHAT', 'one of image, rootfs and bundle says what runs')
  options.signal?.throwIfAborted()
  await using local = await openLocalContainers(options)
  const output = new Output(options.onOutput)
  const exitCode = bundle === undefined ? await runImage(local, what, options, output) : await runBundle(local, bundle, options, output)
  return { exitCode, ...output.texts() }
}

async function runImage({ containers }: LocalContainers, path: string, options: RunContainerOptions, output: Output): Promise<number> {
  const { command, config, env = [], host, signal = new AbortController().signal, stdin } = options
  const hasInput = stdin !== undefined
  const request = { ...config, Image: path, ...(command ? { Cmd: [...command] } : {}), Env: [...(config?.Env ?? []), ...env], OpenStdin: hasInput, StdinOnce: hasInput, HostConfig: { ...host } }
  const { Id } = await containers.create(undefined, request, { signal })
  const attachment = await containers.attach(Id, { stdin: hasInput, stdout: true, stderr: true, logs: false, stream: true })
  const { result } = await containers.wait(Id, { condition: 'next-exit', signal: new AbortController().signal })
  const done = output.read(attachment)
  done.catch(() => {}) // awaited below, if it starts
  await containers.start(Id)
  using _killing = onAbort(signal, () => containers.kill(Id, {}))
  if (hasInput && attachment.stdin) Readable.from(typeof stdin === 'string' || stdin instanceof Uint8Array ? [stdin] : stdin).pipe(attachment.stdin)
  const [{ StatusCode }] = await Promise.all([result, done])
  return StatusCode
}

async function runBundle({ bundles, runtime }: LocalContainers, source: string, options: RunContainerOptions, output: Output): Promise<number> {
  const { command, env, signal = new AbortController().signal, stdin } = options
  const id = newId().slice(0, 12)
  const bundle = join(bundles, id)
  const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8')) as BundleConfig
  const linux = { ...config.linux, cgroupsPath: config.linux?.cgroupsPath ?? `/berth-local/${id}` }
  const process = { ...config.process, ...(command ? { args: [...command] } : {}), env: [...(config.process?.env ?? []), ...(env ?? [])] }
  // A bundle of our own, as runtimes keep files there; the root file system is the one of the user's.
  mkdirSync(bundle, { recursive: true, mode: 0o700 })
  writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ...config, process, linux, root: { ...config.root, path: resolve(source, config.root?.path ?? 'rootfs') } }), { mode: 0o600 })
  const task = await runtime.create({ id, bundle, rootfs: [], stdio: { terminal: config.process?.terminal ?? false, stdin: stdin !== undefined }, signal })
  const done = output.read(task)
  done.catch(() => {}) // awaited below, if it starts
  await task.start()
  using _killing = onAbort(signal, () => task.kill(9))
  if (stdin !== undefined && task.stdin) Readable.from(typeof stdin === 'string' || stdin instanceof Uint8Array ? [stdin] : stdin).pipe(task.stdin)
  const { status } = await task.wait()
  await done
  await task.delete()
  removeBundle(bundle)
  return status
}

interface BundleConfig {
  process?: { terminal?: boolean; env?: string[] }
  root?: { path?: string }
  linux?: { cgroupsPath?: string }
}

function onAbort(signal: AbortSignal, kill: () => Promise<void>): Disposable {
  // It may have ended meanwhile.
  const listener = (): void => void kill().catch(() => {})
  signal.addEventListener('abort', listener)
  if (signal.aborted) listener()
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', listener) }
}

/** What a container writes, collected or passed on. */
class Output {
  readonly #chunks: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] }
  readonly #take: (stream: 'stdout' | 'stderr', chunk: Buffer) => void

  constructor(onOutput: RunContainerOptions['onOutput']) {
    this.#take = onOutput ?? ((stream, chunk) => this.#chunks[stream].push(chunk))
  }

  /** Settles when there is no more. */
  async read({ stdout, stderr }: { stdout?: Readable | undefined; stderr?: Readable | undefined }): Promise<void> {
    const read = async (name: 'stdout' | 'stderr', stream: Readable | undefined): Promise<void> => {
      if (stream) for await (const chunk of stream) this.#take(name, chunk as Buffer)
    }
    await Promise.all([read('stdout', stdout), read('stderr', stderr)])
  }

  texts(): { stdout: string; stderr: string } {
    return { stdout: Buffer.concat(this.#chunks.stdout).toString(), stderr: Buffer.concat(this.#chunks.stderr).toString() }
  }
}
