import type { EngineClient } from '@berth/api-client'
import { BerthError } from '@berth/core'

/** A stream that may be a terminal. */
export interface CliOutput {
  write(data: string | Uint8Array): boolean
  once(event: 'drain', listener: () => void): unknown
  on(event: 'resize', listener: () => void): unknown
  off(event: 'resize', listener: () => void): unknown
  isTTY?: boolean
  columns?: number
  rows?: number
}

export interface CliInput extends AsyncIterable<Uint8Array> {
  isTTY?: boolean
  setRawMode?(mode: boolean): unknown
  pause(): unknown
  unref?(): unknown
  destroy(): unknown
}

/** The process around the command line; tests bring their own. */
export interface CliIo {
  stdin: CliInput
  stdout: CliOutput
  stderr: CliOutput
  env: Readonly<Record<string, string | undefined>>
}

/** What every command works with. */
export interface Cli {
  readonly io: CliIo
  /** What the process will end with. */
  exitCode: number
  /** The `-H` flag. */
  host: string | undefined
  /** The engine, connected to when first asked for. */
  engine(): Promise<EngineClient>
  print(line: string): void
  /** Tells of an error, one line, and sets the exit code. */
  complain(error: unknown, exitCode?: number): void
}

const defaultHost = 'unix:///run/berth/berth.sock'

export function hostOf({ host, io }: Pick<Cli, 'host' | 'io'>): string {
  return host ?? (io.env['BERTH_HOST'] || io.env['DOCKER_HOST'] || defaultHost)
}

export function usageError(message: string): BerthError {
  return new BerthError('invalid-argument', 'USAGE', message)
}

/** Does the same to each of several things, prints what came of each, and goes on after a failure. */
export async function forEach(cli: Cli, refs: readonly string[], action: (ref: string, engine: EngineClient) => Promise<string | void>): Promise<void> {
  const engine = await cli.engine()
  for (const ref of refs) {
    try {
      cli.print((await action(ref, engine)) ?? ref)
    } catch (error) {
      cli.complain(error)
    }
  }
}

/** A flag that may be given several times. */
export function collect(value: string, values: string[] = []): string[] {
  return [...values, value]
}
