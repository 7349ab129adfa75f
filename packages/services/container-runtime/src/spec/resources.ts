import { statSync } from 'node:fs'
import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { OciResources, OciThrottle } from './oci-spec.ts'

/** Everything is denied but making device nodes and using the harmless ones. @see config-linux.md, Allowed Device list */
const defaultDevices: OciResources['devices'] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  ...[[1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0], [5, 1], [5, 2]].map(([major, minor]) => ({ allow: true, type: 'c', major, minor, access: 'rwm' })),
  { allow: true, type: 'c', major: 136, access: 'rwm' },
] // prettier-ignore

function numbersOf(path: string): { major: number; minor: number } {
  try {
    const { rdev } = statSync(path)
    return { major: (rdev >> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) }
  } catch (cause) {
    throw new BerthError('invalid-argument', 'DEVICE_NOT_FOUND', `error gathering device information while adding custom device "${path}": no such file or directory`, { cause })
  }
}

function throttles(devices: { Path?: string; Rate?: number }[] | null | undefined): OciThrottle[] | undefined {
  return devices?.length ? devices.map(({ Path = '', Rate = 0 }) => ({ ...numbersOf(Path), rate: Rate })) : undefined
}

/** `c 1:3 rwm`, with `*` for any number. */
function deviceRule(rule: string): OciResources['devices'][number] {
  const match = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(rule)
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

/** Drops members that are undefined; undefined when none is left. */
function compact<T extends object>(value: T): T | undefined {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined)
  return entries.length > 0 ? (Object.fromEntries(entries) as T) : undefined
}

const positive = (value: number | null | undefined): number | undefined => (value ? value : undefined)

/**
 * `HostConfig`'s limits as control-group resources. With a memory limit and no swap limit, as much swap as memory is allowed, as in Docker.
 * What only cgroup v1 knows (swappiness, disabling the OOM killer) is left out on v2.
 */
export function resourcesOf(host: HostConfig, { cgroups, swap }: { cgroups: 1 | 2; swap: boolean }): OciResources {
  const memory = positive(host.Memory)
  const swapLimit = host.MemorySwap === -1 ? -1 : (positive(host.MemorySwap) ?? (memory ? memory * 2 : undefined))
  const quota = host.NanoCpus ? { period: 100_000, quota: Math.round(host.NanoCpus / 10_000) } : { period: positive(host.CpuPeriod), quota: positive(host.CpuQuota) }
  const swappiness = host.MemorySwappiness
  const resources: OciResources = {
    devices: host.Privileged
      ? [{ allow: true, access: 'rwm' }]
      : [
          ...defaultDevices,
          ...(host.Devices ?? []).map(({ PathOnHost = '', CgroupPermissions }) => ({
            allow: true,
            type: statSync(PathOnHost, { throwIfNoEntry: false })?.isBlockDevice() ? 'b' : 'c',
            ...numbersOf(PathOnHost),
            access: CgroupPermissions || 'rwm',
          })),
          ...(host.DeviceCgroupRules ?? []).map(deviceRule),
        ],
  }
  const parts = {
    memory: compact({
      limit: memory,
      reservation: positive(host.MemoryReservation),
      swap: swap ? swapLimit : undefined,
      swappiness: cgroups === 1 && typeof swappiness === 'number' && swappiness >= 0 ? swappiness : undefined,
      disableOOMKiller: cgroups === 1 && host.OomKillDisable ? true : undefined,
    }),
    cpu: compact({
      shares: positive(host.CpuShares),
      ...quota,
      realtimeRuntime: positive(host.CpuRealtimeRuntime),
      realtimePeriod: positive(host.CpuRealtimePeriod),
      cpus: host.CpusetCpus || undefined,
      mems: host.CpusetMems || undefined,
    }),
    pids: host.PidsLimit ? { limit: host.PidsLimit } : undefined,
    blockIO: compact({
      weight: positive(host.BlkioWeight),
      weightDevice: host.BlkioWeightDevice?.length
        ? host.BlkioWeightDevice.map(({ Path = '', Weight = 0 }) => ({ ...numbersOf(Path), weight: Weight }))
        : undefined,
      throttleReadBpsDevice: throttles(host.BlkioDeviceReadBps),
      throttleWriteBpsDevice: throttles(host.BlkioDeviceWriteBps),
      throttleReadIOPSDevice: throttles(host.BlkioDeviceReadIOps),
      throttleWriteIOPSDevice: throttles(host.BlkioDeviceWriteIOps),
    }),
  }
  return { ...resources, ...compact(parts) }
}
