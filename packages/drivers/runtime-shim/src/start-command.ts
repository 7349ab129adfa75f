import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readlinkSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError, isErrno } from '@berth/core'
import { type LaunchOptions, shimUnavailable } from './shim-process.ts'

/** How long a shim may take to tell where it answers, in milliseconds. */
const startTimeout = 30_000
const longestAnswer = 64 * 1024

const argumentsOf = ({ namespace, id, bundle, eventsSocket }: Omit<LaunchOptions, 'binary' | 'inherit' | 'socket'>): string[] => [
  '-namespace', namespace, '-id', id, '-address', eventsSocket, '-publish-binary', '/bin/true', '-bundle', bundle,
] // prettier-ignore

/**
 * Starts a shim by its own `start` command, which every shim has: it leaves the shim running and says where that answers. A link at `socket` leads there.
 * @see containerd, core/runtime/v2/README.md
 */
export async function startShim(options: LaunchOptions): Promise<void> {
  const answer = await runShim(options, 'start')
  rmSync(options.socket, { force: true })
  symlinkSync(socketIn(answer, options.binary), options.socket)
}

/** Has a shim that was killed clean up after itself, by its own `delete` command. Harmless when there is nothing to do. */
export async function deleteByShim(options: Omit<LaunchOptions, 'inherit'>): Promise<void> {
  await runShim({ ...options, inherit: [] }, 'delete').catch(() => {})
}

/** Removes a socket, and what it leads to when it is a link of {@link startShim}. */
export function removeSocket(socket: string): void {
  try {
    rmSync(readlinkSync(socket), { force: true })
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EINVAL')) throw error
  }
  rmSync(socket, { force: true })
}

async function runShim(options: LaunchOptions, command: 'start' | 'delete'): Promise<string> {
  const { binary, bundle, eventsSocket, inherit } = options
  const log = openSync(join(bundle, 'log'), 'a', 0o600)
  try {
    const child = spawn(binary, [...argumentsOf(options), command], {
      cwd: bundle,
      // Descriptor 3 is what a shim gives its own socket to itself as.
      stdio: ['ignore', 'pipe', log, 'ignore', ...inherit],
      env: { PATH: process.env['PATH'], TTRPC_ADDRESS: eventsSocket, GOMAXPROCS: '2' },
      timeout: startTimeout,
      killSignal: 'SIGKILL',
    })
    const output = child.stdout!
    const chunks: Buffer[] = []
    output.on('data', (chunk: Buffer) => chunks.push(chunk))
    // The shim that is left running may have inherited the pipe: its end does not come.
    const [code, signal] = (await once(child, 'exit').catch((error: Error) => {
      throw shimUnavailable(binary, error)
    })) as [number | null, string | null]
    for (let chunk; (chunk = output.read() as Buffer | null) !== null; ) chunks.push(chunk)
    output.destroy()
    if (code !== 0) throw new BerthError('unavailable', 'SHIM_ENDED', `${binary} ${command} ended with ${code ?? signal}`)
    return Buffer.concat(chunks).subarray(0, longestAnswer).toString()
  } finally {
    closeSync(log)
  }
}

/** `unix:///path`, or since containerd 1.7 an object that holds it. */
function socketIn(answer: string, binary: string): string {
  const text = answer.trim()
  const address = text.startsWith('{') ? (JSON.parse(text) as { address?: string; protocol?: string }) : { address: text }
  if (address.protocol !== undefined && address.protocol !== '' && address.protocol !== 'ttrpc') {
    throw new BerthError('unavailable', 'SHIM_PROTOCOL', `${binary} speaks ${address.protocol}, not ttrpc`)
  }
  const [, path] = /^unix:\/\/(\/.+)$/.exec(address.address ?? '') ?? []
  if (!path) throw new BerthError('unavailable', 'SHIM_ADDRESS', `${binary} answers at ${JSON.stringify(address.address)}, which is no unix socket`)
  return path
}
