import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { BerthError, isErrno } from '@berth/core'

export interface LaunchOptions {
  binary: string
  namespace: string
  id: string
  bundle: string
  /** Where the shim is to answer. */
  socket: string
  /** Where the shim is to send its events. */
  eventsSocket: string
  /** Descriptors that the shim is to hold open. The first one becomes its fourth, the next its fifth, … */
  inherit: readonly (number | 'ignore')[]
}

/**
 * Starts a shim that answers on `socket` and returns its pid.
 *
 * The shim's own `start` command makes a socket and starts the shim a second time with it as descriptor 3, which costs a whole
 * process start. We hand it the socket ourselves; it can be connected to at once, since connections wait in its queue.
 */
export async function launchShim(options: LaunchOptions): Promise<number> {
  const log = openSync(join(options.bundle, 'log'), 'w', 0o600)
  const server = createServer()
  // A server unlinks its path when it is closed; the shim's socket must stay, so it moves out of the way.
  const temporary = `${options.socket}.new`
  rmSync(temporary, { force: true })
  try {
    server.listen(temporary)
    await once(server, 'listening')
    renameSync(temporary, options.socket)
    const args = ['-namespace', options.namespace, '-id', options.id, '-address', options.eventsSocket]
    const child = spawn(options.binary, args, {
      cwd: options.bundle,
      detached: true,
      stdio: ['ignore', 'ignore', log, listeningFd(server), ...options.inherit],
      env: { PATH: process.env['PATH'], TTRPC_ADDRESS: options.eventsSocket, GOMAXPROCS: '2' },
    })
    if (child.pid === undefined) throw shimUnavailable(options.binary, ((await once(child, 'error')) as [Error])[0])
    child.unref()
    return child.pid
  } finally {
    server.close()
    closeSync(log)
  }
}

/** Node passes a child any descriptor by number, but gives a listening socket's no public name. */
function listeningFd(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd
}

/** The shims that serve a bundle: what runs in that directory, where nothing of a container can be. */
export function shimsOf(bundle: string): number[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/cwd`) === bundle
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES')) return false
      throw error
    }
  }).map(Number) // prettier-ignore
}

/** The last words of a shim that ended too early. */
export function shimLog(bundle: string): string {
  try {
    return readFileSync(join(bundle, 'log'), 'utf8').trim().split('\n').slice(-3).join('; ')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return ''
    throw error
  }
}

/** For a shim that cannot be run. */
export function shimUnavailable(binary: string, cause: Error): BerthError {
  return new BerthError('unavailable', 'SHIM_UNAVAILABLE', `cannot run ${binary}: ${cause.message}`, { cause, hint: 'Install containerd and runc.' })
}
