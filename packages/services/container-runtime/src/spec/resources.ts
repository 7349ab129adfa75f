import type { HostConfig } from '@berth/api-types'
import { engineAnnotations } from '../annotations.ts'
import { deviceNumbers, deviceRulesOf } from './devices.ts'
import type { MachineFeatures } from './machine-features.ts'
import type { OciResources, OciThrottle } from './oci-spec.ts'

function throttles(devices: { Path?: string; Rate?: number }[] | null | undefined): OciThrottle[] | undefined {
  return devices?.length ? devices.map(({ Path = '', Rate = 0 }) => ({ ...deviceNumbers(Path), rate: Rate })) : undefined
}

/** Drops members that are undefined; undefined when none is left. */
function compact<T extends object>(value: T): T | undefined {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined)
  return entries.length > 0 ? (Object.fromEntries(entries) as T) : undefined
}

const nonZero = (value: number | null | undefined): number | undefined => value || undefined

/**
 * `HostConfig`'s limits as those of the OCI runtime, without devices. With a memory limit and no swap limit, as much swap as memory is allowed, as in Docker.
 * What only cgroup v1 knows (swappiness, disabling the OOM killer, kernel memory of TCP) is left out on v2.
 */
export function limitsOf(host: HostConfig, { cgroups, swap }: Pick<MachineFeatures, 'cgroups' | 'swap'>): Omit<OciResources, 'devices'> {
  const memory = nonZero(host.Memory)
  const swapLimit = host.MemorySwap === -1 ? -1 : (nonZero(host.MemorySwap) ?? (memory ? memory * 2 : undefined))
  const quota = host.NanoCpus ? { period: 100_000, quota: Math.floor(host.NanoCpus / 10_000) } : { period: nonZero(host.CpuPeriod), quota: nonZero(host.CpuQuota) }
  const swappiness = host.MemorySwappiness
  const { hugepageLimits } = engineAnnotations(host)
  const parts: Omit<OciResources, 'devices'> = {
    memory: compact({
      limit: memory,
      reservation: nonZero(host.MemoryReservation),
      swap: swap ? swapLimit : undefined,
      swappiness: cgroups === 1 && typeof swappiness === 'number' && swappiness >= 0 ? swappiness : undefined,
      disableOOMKiller: cgroups === 1 && host.OomKillDisable ? true : undefined,
      kernelTCP: cgroups === 1 ? nonZero(host.KernelMemoryTCP) : undefined,
    }),
    cpu: compact({
      shares: nonZero(host.CpuShares),
      ...quota,
      realtimeRuntime: nonZero(host.CpuRealtimeRuntime),
      realtimePeriod: nonZero(host.CpuRealtimePeriod),
      cpus: host.CpusetCpus || undefined,
      mems: host.CpusetMems || undefined,
    }),
    // Zero and less take a limit away.
    pids: typeof host.PidsLimit === 'number' ? { limit: host.PidsLimit > 0 ? host.PidsLimit : -1 } : undefined,
    blockIO: compact({
      weight: nonZero(host.BlkioWeight),
      weightDevice: host.BlkioWeightDevice?.length
        ? host.BlkioWeightDevice.map(({ Path = '', Weight = 0 }) => ({ ...deviceNumbers(Path), weight: Weight }))
        : undefined,
      throttleReadBpsDevice: throttles(host.BlkioDeviceReadBps),
      throttleWriteBpsDevice: throttles(host.BlkioDeviceWriteBps),
      throttleReadIOPSDevice: throttles(host.BlkioDeviceReadIOps),
      throttleWriteIOPSDevice: throttles(host.BlkioDeviceWriteIOps),
    }),
    hugepageLimits: hugepageLimits.length > 0 ? hugepageLimits : undefined,
  } as Omit<OciResources, 'devices'>
  return compact(parts) ?? {}
}

/** All that a container is allowed to use: devices and limits. */
export function resourcesOf(host: HostConfig, machine: Pick<MachineFeatures, 'cgroups' | 'swap'>): OciResources {
  return { devices: deviceRulesOf(host), ...limitsOf(host, machine) }
}
