import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { detectCgroups } from '@berth/linux'
import type { CgroupDirectories } from './cgroup-stats.ts'
import type { MachineFeatures } from './spec/index.ts'

const initPrograms = ['/usr/bin/docker-init', '/usr/bin/tini-static', '/usr/bin/tini', '/sbin/docker-init', '/usr/libexec/docker/docker-init']

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What this machine offers to containers; `given` is not looked for. */
export function findMachine(given: Partial<MachineFeatures> = {}): { machine: MachineFeatures; cgroupMounts: CgroupDirectories } {
  const cgroups = detectCgroups()
  const cgroupMounts: CgroupDirectories = cgroups?.version === 1 ? Object.fromEntries(cgroups.controllers) : { unified: cgroups?.mountPoint }
  const { memory, unified } = cgroupMounts
  const machine: MachineFeatures = {
    cgroups: cgroups?.version ?? 2,
    swap: memory ? existsSync(join(memory, 'memory.memsw.limit_in_bytes')) : unified !== undefined,
    initPath: initPrograms.find(isExecutable),
    capabilities: BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`),
    ...given,
  }
  return { machine, cgroupMounts }
}
