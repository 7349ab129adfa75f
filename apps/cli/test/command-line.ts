import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { ApiServer, type Backend } from '@berth/api-server'
import { memoryBackend } from '@berth/api-server/memory'
import type { CliInput, CliOutput } from '../src/cli.ts'
import { runCli } from '../src/run-cli.ts'

interface Ran {
  code: number
  stdout: string
  stderr: string
}

/** A terminal or pipe that keeps what was written. */
class Output extends EventEmitter implements CliOutput {
  text = ''
  isTTY = false
  columns = 80
  rows = 24

  write(data: string | Uint8Array): boolean {
    this.text += typeof data === 'string' ? data : Buffer.from(data).toString()
    this.emit('written')
    return true
  }

  /** Settles once the text has been written. */
  async seen(text: string): Promise<void> {
    while (!this.text.includes(text)) await new Promise((resolve) => this.once('written', resolve))
  }
}

/** A keyboard or pipe. */
class Input extends PassThrough implements CliInput {
  isTTY = false
  /** Each change of the raw mode. */
  readonly modes: boolean[] = []

  setRawMode(mode: boolean): void {
    this.modes.push(mode)
  }
}

export interface CommandLine extends AsyncDisposable {
  host: string
  /** A directory of its own, where also Docker's configuration is looked for (`docker/config.json`). */
  directory: string
  backend: Backend
  run(...args: string[]): Promise<Ran>
  /** With something on standard input. */
  feed(input: string | Uint8Array, ...args: string[]): Promise<Ran>
  /** A command that goes on, with its streams in hand. */
  start(args: string[], options?: { tty?: boolean }): { stdin: Input; stdout: Output; stderr: Output; done: Promise<number> }
}

/** The command line against an API server over the engine in memory. */
export async function openCommandLine(): Promise<CommandLine> {
  const directory = mkdtempSync(join(tmpdir(), 'cli-'))
  const backend = memoryBackend()
  const server = new ApiServer({ backend })
  await server.listen({ path: join(directory, 'berth.sock') })
  const host = `unix://${directory}/berth.sock`
  const start: CommandLine['start'] = (args, { tty = false } = {}) => {
    const [stdin, stdout, stderr] = [new Input(), new Output(), new Output()]
    stdin.isTTY = stdout.isTTY = tty
    return { stdin, stdout, stderr, done: runCli(args, { stdin, stdout, stderr, env: { BERTH_HOST: host, LOCAL: 'here', DOCKER_CONFIG: join(directory, 'docker') } }) }
  }
  const feed: CommandLine['feed'] = async (input, ...args) => {
    const { stdin, stdout, stderr, done } = start(args)
    stdin.end(input)
    return { code: await done, stdout: stdout.text, stderr: stderr.text }
  }
  return {
    host,
    directory,
    backend,
    start,
    run: (...args) => feed('', ...args),
    feed,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
}
