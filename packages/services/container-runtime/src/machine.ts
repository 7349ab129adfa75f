import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cgroups, detectCgroups } from '@berth/linux'
import type { CgroupDirectories } from './look/cgroup-stats.ts'
import type { KernelLimit, MachineFeatures } from './spec/index.ts'

const initPrograms = ['/usr/bin/docker-init', '/usr/bin/tini-static', '/usr/bin/tini', '/sbin/docker-init', '/usr/libexec/docker/docker-init']

/** The files of cgroup v1 that are a limit, any of them, by controller. */
const filesOfVersion1: Record<KernelLimit, string[]> = {
  memory: ['memory/memory.limit_in_bytes'],
  reservation: ['memory/memory.soft_limit_in_bytes'],
  swappiness: ['memory/memory.swappiness'],
  oomKillDisable: ['memory/memory.oom_control'],
  kernelTcp: ['memory/memory.kmem.tcp.limit_in_bytes'],
  cpuShares: ['cpu/cpu.shares'],
  cpuQuota: ['cpu/cpu.cfs_quota_us'],
  cpuRealtime: ['cpu/cpu.rt_runtime_us'],
  cpuset: ['cpuset/cpuset.cpus'],
  pids: ['pids/cgroup.procs'],
  blkioWeight: ['blkio/blkio.weight', 'blkio/blkio.bfq.weight'],
  blkioWeightDevice: ['blkio/blkio.weight_device', 'blkio/blkio.bfq.weight_device'],
  blkioReadBps: ['blkio/blkio.throttle.read_bps_device'],
  blkioWriteBps: ['blkio/blkio.throttle.write_bps_device'],
  blkioReadIops: ['blkio/blkio.throttle.read_iops_device'],
  blkioWriteIops: ['blkio/blkio.throttle.write_iops_device'],
}

/** What a controller of cgroup v2 limits. Whether weights work is the scheduler's matter there; the kernel takes them. */
const limitsOfVersion2: Record<string, KernelLimit[]> = {
  memory: ['memory', 'reservation'],
  cpu: ['cpuShares', 'cpuQuota'],
  cpuset: ['cpuset'],
  pids: ['pids'],
  io: ['blkioWeight', 'blkioWeightDevice', 'blkioReadBps', 'blkioWriteBps', 'blkioReadIops', 'blkioWriteIops'],
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Directories below `from` of a hierarchy of v1: the root of some controllers has not every file that a group has. */
function groupsOf(mountPoint: string): string[] {
  const below = readdirSync(mountPoint, { withFileTypes: true }).find((entry) => entry.isDirectory())
  return below ? [mountPoint, join(mountPoint, below.name)] : [mountPoint]
}

function limitsOf(cgroups: Cgroups | undefined): Set<KernelLimit> {
  if (!cgroups) return new Set()
  if (cgroups.version === 2) return new Set(cgroups.controllers.flatMap((controller) => limitsOfVersion2[controller] ?? []))
  const isThere = (file: string): boolean => {
    const [controller = '', name = ''] = file.split('/')
    const mountPoint = cgroups.controllers.get(controller)
    return mountPoint !== undefined && groupsOf(mountPoint).some((group) => existsSync(join(group, name)))
  }
  return new Set((Object.entries(filesOfVersion1) as [KernelLimit, string[]][]).filter(([, files]) => files.some(isThere)).map(([limit]) => limit))
}

/** `hugepages-2048kB` is `2MB` in the names of the controller's files. */
function hugepageSizes(cgroups: Cgroups | undefined): string[] {
  const hasController = cgroups?.version === 1 ? cgroups.controllers.has('hugetlb') : cgroups?.controllers.includes('hugetlb')
  if (!hasController || !existsSync('/sys/kernel/mm/hugepages')) return []
  return readdirSync('/sys/kernel/mm/hugepages').map((name) => {
    const kibibytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0)
    if (kibibytes >= 1 << 20) return `${kibibytes >> 20}GB`
    return kibibytes >= 1024 ? `${kibibytes >> 10}MB` : `${kibibytes}KB`
  })
}

/** What this machine offers to containers; `given` is not looked for. */
export function findMachine(given: Partial<MachineFeatures> = {}): { machine: MachineFeatures; cgroupMounts: CgroupDirectories } {
  const cgroups = detectCgroups()
  const cgroupMounts: CgroupDirectories = cgroups?.version === 1 ? Object.fromEntries(cgroups.controllers) : { unified: cgroups?.mountPoint }
  const { memory, unified } = cgroupMounts
  const machine: MachineFeatures = {
    cgroups: cgroups?.version ?? 2,
    swap: memory ? existsSync(join(memory, 'memory.memsw.limit_in_bytes')) : unified !== undefined,
    limits: limitsOf(cgroups),
    hugepageSizes: hugepageSizes(cgroups),
    memoryNodes: textOf('/sys/devices/system/node/online') ?? '0',
    appArmor: textOf('/sys/module/apparmor/parameters/enabled') === 'Y',
    initPath: initPrograms.find(isExecutable),
    capabilities: BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`),
    ...given,
  }
  return { machine, cgroupMounts }
}
