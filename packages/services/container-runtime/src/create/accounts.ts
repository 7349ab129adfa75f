import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError, isErrno } from '@berth/core'
import { mount, openInRoot, parseMountOptions, umount } from '@berth/linux'
import type { Mount } from '@berth/snapshotter'
import type { AccountFiles } from '../spec/index.ts'

/** An account file larger than this is not one. */
const sizeLimit = 1024 * 1024

/**
 * A file below a directory that a container may have filled with hostile links; undefined where there is none, or one that is too large.
 * @throws `invalid-argument` for a pipe, a device or a directory, as the runtime opens it too and would wait for it without end (CVE-2024-9676)
 */
function readInside(root: number, path: string): string | undefined {
  let file: number
  try {
    file = openInRoot(root, path)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENXIO')) return undefined
    throw error
  }
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new BerthError('invalid-argument', 'ACCOUNTS_INVALID', `/${path} in the container is not a regular file`)
    return stat.size <= sizeLimit ? readFileSync(file, 'utf8') : undefined
  } finally {
    closeSync(file)
  }
}

/** The account files below a directory. */
export function accountsBelow(directory: string): AccountFiles {
  const root = openSync(directory, 'r')
  try {
    return { passwd: readInside(root, 'etc/passwd'), group: readInside(root, 'etc/group') }
  } finally {
    closeSync(root)
  }
}

function accountsOfProcess(pid: number): AccountFiles {
  return accountsBelow(`/proc/${pid}/root`)
}

function accountsOfMounts(mounts: readonly Mount[], directory: string): AccountFiles {
  const target = join(directory, 'accounts')
  mkdirSync(target, { recursive: true, mode: 0o700 })
  let made = 0
  try {
    for (const { type, source, options, target: inside } of mounts) {
      const { flags, data } = parseMountOptions(options)
      mount(source, inside ? join(target, inside) : target, type, flags, data)
      made++
    }
    return accountsBelow(target)
  } finally {
    for (const { target: inside } of mounts.slice(0, made).toReversed()) umount(inside ? join(target, inside) : target, { detach: true })
    rmdirSync(target)
  }
}

/** Where the account files of a container are read. */
export interface AccountReader {
  /** Of a root file system; `directory` is there to mount it in. */
  ofMounts(mounts: readonly Mount[], directory: string): AccountFiles
  /** As a running process sees them. */
  ofProcess(pid: number): AccountFiles
}

/** Reads them through the kernel, which follows no link out of the container. */
export const kernelAccounts: AccountReader = { ofMounts: accountsOfMounts, ofProcess: accountsOfProcess }

/** Longer files are read each time: what an image holds must not fill the engine's memory. */
const cachedLength = 64 * 1024

/** Accounts by image: they hold for containers that have not changed their files yet. */
export class AccountCache {
  readonly #byImage = new Map<string, AccountFiles>()

  get(imageId: string, read: () => AccountFiles): AccountFiles {
    const known = this.#byImage.get(imageId)
    if (known) return known
    const accounts = read()
    if ((accounts.passwd?.length ?? 0) + (accounts.group?.length ?? 0) > cachedLength) return accounts
    if (this.#byImage.size >= 64) this.#byImage.clear()
    this.#byImage.set(imageId, accounts)
    return accounts
  }
}
