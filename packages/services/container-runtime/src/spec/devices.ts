import { readdirSync, type Stats, statSync } from 'node:fs'
import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { OciDevice, OciResources } from './oci-spec.ts'

type DeviceRule = OciResources['devices'][number]

/** A device of the machine as it appears in a container, and what it may be used for. */
interface MappedDevice {
  device: OciDevice
  access: string
}

/** Of a terminal or of the container's own `/dev`: these are made anew. */
const ownEntries = new Set(['pts', 'shm', 'fd', 'mqueue', 'console'])

function wrongDevice(path: string, why: string): BerthError {
  return new BerthError('invalid-argument', 'DEVICE_NOT_FOUND', `error gathering device information while adding custom device "${path}": ${why}`)
}

const isDevice = (stat: Stats): boolean => stat.isBlockDevice() || stat.isCharacterDevice()

/** The numbers of a device in `st_rdev`. @see makedev(3) */
function numbersIn({ rdev }: Stats): { major: number; minor: number } {
  return { major: (rdev >> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) }
}

function describe(path: string, stat: Stats): OciDevice {
  return { path, type: stat.isBlockDevice() ? 'b' : 'c', ...numbersIn(stat), fileMode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid }
}

/** Numbers of the device at a path of the machine. Throws `invalid-argument`. */
export function deviceNumbers(path: string): { major: number; minor: number } {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) throw new BerthError('invalid-argument', 'DEVICE_NOT_FOUND', `stat ${path}: no such file or directory`)
  if (!isDevice(stat)) throw wrongDevice(path, 'not a device node')
  return numbersIn(stat)
}

/** The devices in a directory of the machine and below it, below `target` in the container. */
function devicesWithin(source: string, target: string): OciDevice[] {
  return readdirSync(source, { withFileTypes: true })
    .filter(({ name }) => !ownEntries.has(name))
    .flatMap((entry) => {
      const [from, to] = [`${source}/${entry.name}`, `${target}/${entry.name}`]
      if (entry.isDirectory()) return devicesWithin(from, to)
      // Links that lead nowhere, sockets and files are no devices.
      const stat = statSync(from, { throwIfNoEntry: false })
      return stat && isDevice(stat) ? [describe(to, stat)] : []
    })
}

/** `HostConfig.Devices`: a device, or all in a directory. Throws `invalid-argument` for what is not there or is none. */
function mappedDevices({ Devices }: HostConfig): MappedDevice[] {
  return (Devices ?? []).flatMap(({ PathOnHost = '', PathInContainer, CgroupPermissions }) => {
    const [target, access] = [PathInContainer || PathOnHost, CgroupPermissions || 'rwm']
    const stat = statSync(PathOnHost, { throwIfNoEntry: false })
    if (!stat) throw wrongDevice(PathOnHost, 'no such file or directory')
    if (isDevice(stat)) return [{ device: describe(target, stat), access }]
    const found = stat.isDirectory() ? devicesWithin(PathOnHost, target) : []
    if (found.length === 0) throw wrongDevice(PathOnHost, 'not a device node')
    return found.map((device) => ({ device, access }))
  })
}

/** The devices that a container has beside those that every one has. */
export function devicesOf(host: HostConfig): OciDevice[] {
  const mapped = mappedDevices(host).map(({ device }) => device)
  if (!host.Privileged) return mapped
  const all = devicesWithin('/dev', '/dev')
  const taken = new Set(all.map(({ path }) => path))
  return [...all, ...mapped.filter(({ path }) => !taken.has(path))]
}

/** Everything is denied but making device nodes and using the harmless ones. @see config-linux.md, Allowed Device list */
const defaultRules: DeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  ...[[1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0], [5, 1], [5, 2]].map(([major, minor]) => ({ allow: true, type: 'c', major, minor, access: 'rwm' })),
  { allow: true, type: 'c', major: 136, access: 'rwm' },
] // prettier-ignore

/** `c 1:3 rwm`, with `*` for any number. Throws `invalid-argument`. */
function parseRule(rule: string): DeviceRule {
  const match = /^([acb]) (\d{1,7}|\*):(\d{1,7}|\*) ([rwm]{1,3})$/.exec(rule)
  if (!match) throw new BerthError('invalid-argument', 'DEVICE_RULE_INVALID', `invalid device cgroup rule format: '${rule}'`)
  const [, type, major, minor, access = ''] = match
  return {
    allow: true,
    ...(type === 'a' ? {} : { type }),
    ...(major === '*' ? {} : { major: Number(major) }),
    ...(minor === '*' ? {} : { minor: Number(minor) }),
    access,
  }
}

/** Refuses what can be seen to be wrong without looking at the devices. Throws `invalid-argument`. */
export function checkDevices({ Devices, DeviceCgroupRules }: HostConfig): void {
  for (const rule of DeviceCgroupRules ?? []) parseRule(rule)
  for (const { PathOnHost = '', CgroupPermissions } of Devices ?? []) {
    if (!PathOnHost.startsWith('/')) throw wrongDevice(PathOnHost, 'not an absolute path')
    if (CgroupPermissions && !/^[rwm]{1,3}$/.test(CgroupPermissions)) throw new BerthError('invalid-argument', 'DEVICE_MODE_INVALID', `bad mode specified: ${CgroupPermissions}`)
  }
}

/** Which devices a container may use, as rules in the order in which they count. */
export function deviceRulesOf(host: HostConfig): DeviceRule[] {
  if (host.Privileged) return [{ allow: true, access: 'rwm' }]
  const mapped = mappedDevices(host).map(({ device: { type, major, minor }, access }) => ({ allow: true, type, major, minor, access }))
  return [...defaultRules, ...mapped, ...(host.DeviceCgroupRules ?? []).map(parseRule)]
}
