import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { BerthError, isErrno } from '@berth/core'
import { mount, mountFlags, umount } from './mounts.ts'

/** A row of IDs of the machine that a user namespace has as its own 0, 1, 2, … @see user_namespaces(7), uid_map */
export interface IdRange {
  /** The machine's user that is root inside. */
  uid: number
  /** The machine's group that is root's inside. */
  gid: number
  /** How many there are of both. */
  size: number
}

/** Namespaces that a process holds; they are gone when this is disposed, unless {@link keepNamespace} has kept them. */
export interface HeldNamespaces extends Disposable {
  /** File of the user namespace. */
  user: string
  /** File of a network namespace that the user namespace owns, so that root inside may configure it. */
  net: string
}

/**
 * Makes a user namespace with a network namespace of its own. Threads cannot (the kernel moves no thread of several into a user namespace), so a process does: util-linux's
 * `unshare`.
 * @throws `unavailable` where the kernel or an administrator allows no user namespaces, or `unshare` is missing
 */
export async function makeUserNamespace({ uid, gid, size }: IdRange): Promise<HeldNamespaces> {
  const held = await hold('unshare', ['--user', '--net', 'cat'])
  try {
    writeFileSync(`${held.directory}/uid_map`, `0 ${uid} ${size}`)
    writeFileSync(`${held.directory}/gid_map`, `0 ${gid} ${size}`)
    return held
  } catch (error) {
    held[Symbol.dispose]()
    throw error
  }
}

/** Makes another network namespace that belongs to a user namespace, given by its file. Throws as {@link makeUserNamespace}. */
export async function makeNetworkNamespace(user: string): Promise<HeldNamespaces> {
  return hold('nsenter', [`--user=${user}`, 'unshare', '--net', 'cat'])
}

async function hold(program: string, args: string[]): Promise<HeldNamespaces & { directory: string }> {
  // What comes back from `cat` was sent after the namespaces were made.
  const holder = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  try {
    holder.stdin.on('error', () => {}) // told by the end
    const ended = Promise.withResolvers<never>()
    ended.promise.catch(() => {})
    let said = ''
    holder.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    holder.on('error', (error) => ended.reject(unavailable(error.message, error)))
    holder.on('close', (code) => ended.reject(unavailable(said.trim() || `${program} ended with ${code}`)))
    holder.stdin.write('\n')
    await Promise.race([once(holder.stdout, 'data'), ended.promise])
    const directory = `/proc/${holder.pid}`
    return { directory, user: `${directory}/ns/user`, net: `${directory}/ns/net`, [Symbol.dispose]: () => void holder.kill('SIGKILL') }
  } catch (error) {
    holder.kill('SIGKILL')
    throw error
  }
}

function unavailable(message: string, cause?: Error): BerthError {
  return new BerthError('unavailable', 'USER_NAMESPACES', `user namespaces cannot be made: ${message}`, { cause, hint: 'See sysctl user.max_user_namespaces, and install util-linux.' })
}

/** Keeps a namespace alive in a new file, until {@link dropNamespace}. */
export function keepNamespace(namespace: string, path: string): void {
  closeSync(openSync(path, 'wx', 0o600))
  try {
    mount(namespace, path, 'none', mountFlags.MS_BIND)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  }
}

/** Lets go of a namespace, which ends when no process is in it, and removes its file. Idempotent. */
export function dropNamespace(path: string): void {
  try {
    umount(path, { detach: true })
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EINVAL')) throw error // not there, or not mounted
  }
  rmSync(path, { force: true })
}
