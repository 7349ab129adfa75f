import { PassThrough, type Readable } from 'node:stream'
import type { Attachment, AttachOptions, LogChunk } from '../backend.ts'

/** What a program of the fake engine is given. */
interface ProgramIo {
  args: readonly string[]
  env: readonly string[]
  stdin: Readable
  write(stream: 'stdout' | 'stderr', text: string | Uint8Array): void
  /** Aborts with the number of the signal that ends it. */
  ended: AbortSignal
  size: { width: number; height: number }
}

/** Gives the exit code. */
export type Program = (io: ProgramIo) => number | Promise<number>

interface Client {
  stdout: PassThrough | undefined
  stderr: PassThrough | undefined
}

const untilEnded = (signal: AbortSignal): Promise<number> =>
  new Promise((resolve) => {
    const end = (): void => resolve(128 + Number(signal.reason))
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })

/** Programs that every fake image has. */
export const programs: Record<string, Program> = {
  true: () => 0,
  exit: ({ args }) => Number(args[1]),
  echo: ({ args, write }) => {
    write('stdout', `${args.slice(1).join(' ')}\n`)
    return 0
  },
  /** One line on each output. */
  both: ({ write }) => {
    write('stdout', 'out\n')
    write('stderr', 'err\n')
    return 0
  },
  env: ({ env, write }) => {
    write('stdout', `${env.join('\n')}\n`)
    return 0
  },
  cat: async ({ stdin, write, ended }) => {
    const copied = (async () => {
      for await (const chunk of stdin as AsyncIterable<Buffer>) write('stdout', chunk)
      return 0
    })()
    return Promise.race([copied, untilEnded(ended)])
  },
  /** The size of the terminal once something was typed. */
  size: async ({ stdin, size, write }) => {
    for await (const _ of stdin) break
    write('stdout', `${size.height} ${size.width}\n`)
    return 0
  },
  sleep: ({ ended }) => untilEnded(ended),
}

/** A process of the fake engine: its streams may be attached to before it runs. */
export class MemoryProcess {
  readonly log: LogChunk[] = []
  readonly size = { width: 0, height: 0 }
  readonly exit = Promise.withResolvers<number>()
  readonly #tty: boolean
  readonly #stdin = new PassThrough()
  readonly #clients = new Set<Client>()
  readonly #followers = new Set<() => void>()
  readonly #ending = new AbortController()
  #exitCode: number | undefined

  constructor(tty: boolean) {
    this.#tty = tty
  }

  get exitCode(): number | undefined {
    return this.#exitCode
  }

  async run(program: Program, args: readonly string[], env: readonly string[] = []): Promise<void> {
    const write = (stream: 'stdout' | 'stderr', text: string | Uint8Array): void => this.#write(this.#tty ? 'stdout' : stream, Buffer.from(text as string))
    this.#exitCode = await program({ args, env, stdin: this.#stdin, write, ended: this.#ending.signal, size: this.size })
    for (const { stdout, stderr } of this.#clients) {
      stdout?.end()
      stderr?.end()
    }
    this.#wake()
    this.exit.resolve(this.#exitCode)
  }

  kill(signal: number): void {
    this.#ending.abort(signal)
  }

  attach({ stdin, stdout, stderr }: Pick<AttachOptions, 'stdin' | 'stdout' | 'stderr'>): Attachment {
    const client: Client = { stdout: stdout ? new PassThrough() : undefined, stderr: stderr && !this.#tty ? new PassThrough() : undefined }
    this.#clients.add(client)
    if (this.#exitCode !== undefined) {
      client.stdout?.end()
      client.stderr?.end()
    }
    return {
      tty: this.#tty,
      stdin: stdin ? this.#input() : undefined,
      ...client,
      done: this.exit.promise.then(() => {}),
      detach: () => void this.#clients.delete(client),
    }
  }

  /** A client's side of the input. With a terminal, its end is not the end of the process's. */
  #input(): PassThrough {
    const input = new PassThrough()
    input.pipe(this.#stdin, { end: !this.#tty })
    return input
  }

  async *read({ stdout, stderr, follow, tail, signal }: { stdout: boolean; stderr: boolean; follow: boolean; tail?: number; signal: AbortSignal }): AsyncIterable<LogChunk> {
    let next = tail === undefined ? 0 : Math.max(0, this.log.length - tail)
    for (;;) {
      for (; next < this.log.length; next++) {
        const entry = this.log[next]
        if (entry && (entry.stream === 'stdout' ? stdout : stderr)) yield entry
      }
      if (!follow || this.#exitCode !== undefined) return
      await new Promise<void>((resolve) => {
        this.#followers.add(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      if (signal.aborted) return
    }
  }

  #write(stream: 'stdout' | 'stderr', data: Buffer): void {
    this.log.push({ stream, time: BigInt(Date.now()) * 1_000_000n, line: data })
    for (const client of this.#clients) client[stream]?.write(data)
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#followers) wake()
    this.#followers.clear()
  }
}
