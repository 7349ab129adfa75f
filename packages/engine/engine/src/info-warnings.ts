import type { SystemInfo } from '@berth/api-types'

/** What this machine lacks for containers, in the words of dockerd, which `docker info` prints as they are. */
export function infoWarnings(info: SystemInfo): string[] {
  const lacking: [boolean | undefined, string][] = [
    [info.MemoryLimit, 'No memory limit support'],
    [info.SwapLimit, 'No swap limit support'],
    // Control groups of version 2 have no such setting, and nobody misses it.
    [info.OomKillDisable || info.CgroupVersion === '2', 'No oom kill disable support'],
    [info.CpuCfsQuota, 'No cpu cfs quota support'],
    [info.CpuCfsPeriod, 'No cpu cfs period support'],
    [info.CPUShares, 'No cpu shares support'],
    [info.CPUSet, 'No cpuset support'],
    [info.PidsLimit, 'No pids limit support'],
    [info.IPv4Forwarding, 'IPv4 forwarding is disabled'],
  ]
  return lacking.filter(([has]) => !has).map(([, text]) => `WARNING: ${text}`)
}
