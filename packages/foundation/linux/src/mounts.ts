import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { BerthError } from '@berth/core'
import { cString, libcFunction } from './libc.ts'

const sysMount = libcFunction('int mount(const void *source, const void *target, const void *type, unsigned long flags, const void *data)')
const sysUmount2 = libcFunction('int umount2(const void *target, int flags)')

/** @see mount(2) */
export const mountFlags = {
  MS_RDONLY: 1, MS_NOSUID: 2, MS_NODEV: 4, MS_NOEXEC: 8, MS_SYNCHRONOUS: 16, MS_REMOUNT: 32, MS_DIRSYNC: 128, MS_NOATIME: 1024, MS_NODIRATIME: 2048, MS_BIND: 4096,
  MS_MOVE: 8192, MS_REC: 16384, MS_UNBINDABLE: 1 << 17, MS_PRIVATE: 1 << 18, MS_SLAVE: 1 << 19, MS_SHARED: 1 << 20, MS_RELATIME: 1 << 21, MS_STRICTATIME: 1 << 24,
} as const // prettier-ignore
const { MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_SYNCHRONOUS, MS_REMOUNT, MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_RELATIME, MS_STRICTATIME } = mountFlags

const pageSize = 4096
const MNT_DETACH = 2

/** Option name to the flags it sets and clears. @see mount(8), filesystem-independent mount options */
const optionFlags: Record<string, { set?: number; clear?: number }> = {
  defaults: {}, ro: { set: MS_RDONLY }, rw: { clear: MS_RDONLY }, nosuid: { set: MS_NOSUID }, suid: { clear: MS_NOSUID }, nodev: { set: MS_NODEV }, dev: { clear: MS_NODEV },
  noexec: { set: MS_NOEXEC }, exec: { clear: MS_NOEXEC }, sync: { set: MS_SYNCHRONOUS }, async: { clear: MS_SYNCHRONOUS }, remount: { set: MS_REMOUNT },
  noatime: { set: MS_NOATIME }, atime: { clear: MS_NOATIME }, nodiratime: { set: MS_NODIRATIME }, diratime: { clear: MS_NODIRATIME },
  relatime: { set: MS_RELATIME }, norelatime: { clear: MS_RELATIME }, strictatime: { set: MS_STRICTATIME }, bind: { set: MS_BIND }, rbind: { set: MS_BIND | MS_REC },
} // prettier-ignore

/** Splits options as fstab has them into mount(2)'s flags and the text for the file system. */
export function parseMountOptions(options: readonly string[]): { flags: number; data: string } {
  let flags = 0
  const data: string[] = []
  for (const option of options) {
    const known = optionFlags[option]
    if (known) flags = (flags | (known.set ?? 0)) & ~(known.clear ?? 0)
    else data.push(option)
  }
  return { flags, data: data.join(',') }
}

/**
 * Throws `invalid-argument` where the options do not fit into the page that the kernel reads, else as mount(2). A read-only bind is made in its two steps. The layers
 * of an overlay are named from the directory that they share if it takes that to make them fit, which needs `/proc` and is enough for about 180.
 */
export function mount(source: string, target: string, type: string, flags = 0, data = ''): void {
  using options = type === 'overlay' && Buffer.byteLength(data) >= pageSize ? shortened(data) : { data, [Symbol.dispose]: () => {} }
  const bytes = Buffer.byteLength(options.data)
  if (bytes >= pageSize) {
    throw new BerthError('invalid-argument', 'MOUNT_OPTIONS_TOO_LONG', `the mount options for ${target} take ${bytes} bytes, and the kernel reads ${pageSize - 1}`)
  }
  sysMount(cString(source), cString(target), cString(type), flags, options.data === '' ? null : cString(options.data))
  const restrictions = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
  if (flags & MS_BIND && !(flags & MS_REMOUNT) && restrictions) {
    // The kernel takes no other flag together with MS_BIND the first time.
    sysMount(cString(source), cString(target), null, MS_REMOUNT | MS_BIND | restrictions, null)
  }
}

/** The options of an overlay whose lower directories are named from a descriptor of the directory that they share. */
function shortened(data: string): { data: string } & Disposable {
  const options = data.split(',')
  const index = options.findIndex((option) => option.startsWith('lowerdir='))
  const lowers = options[index]?.slice('lowerdir='.length).split(':') ?? []
  const shared = lowers.reduce((path, lower) => {
    let common = path
    while (common !== '/' && !lower.startsWith(`${common}/`)) common = dirname(common)
    return common
  }, dirname(lowers[0] ?? '/'))
  if (shared === '/' || shared === '.') return { data, [Symbol.dispose]: () => {} }
  const fd = openSync(shared, constants.O_RDONLY | constants.O_DIRECTORY)
  options[index] = `lowerdir=${lowers.map((lower) => `/proc/self/fd/${fd}${lower.slice(shared.length)}`).join(':')}`
  return { data: options.join(','), [Symbol.dispose]: () => closeSync(fd) }
}

/** Unmounts; `detach` takes the mount out of sight now, and frees it when nothing uses it any more. @see umount2(2) */
export function umount(target: string, { detach = false } = {}): void {
  sysUmount2(cString(target), detach ? MNT_DETACH : 0)
}

export interface MountInfo {
  id: number
  parent: number
  /** Directory of the file system that is mounted here. */
  root: string
  mountPoint: string
  options: string[]
  type: string
  source: string
  superOptions: string[]
}

const unescape = (text: string): string => text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** The mounts that a process sees, in the order they were made. @see proc(5), /proc/pid/mountinfo */
export function readMountInfo(path = '/proc/self/mountinfo'): MountInfo[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [own = '', rest = ''] = line.split(' - ')
      const [id, parent, , root = '', mountPoint = '', options = ''] = own.split(' ')
      const [type = '', source = '', superOptions = ''] = rest.split(' ')
      return { id: Number(id), parent: Number(parent), root: unescape(root), mountPoint: unescape(mountPoint), options: options.split(','), type, source: unescape(source), superOptions: superOptions.split(',') }
    })
}
