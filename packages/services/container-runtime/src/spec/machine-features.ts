/** A limit that a kernel may lack, named after what it limits. */
export type KernelLimit =
  | 'memory' | 'reservation' | 'swappiness' | 'oomKillDisable' | 'kernelTcp' | 'cpuShares' | 'cpuQuota' | 'cpuRealtime' | 'cpuset' | 'pids'
  | 'blkioWeight' | 'blkioWeightDevice' | 'blkioReadBps' | 'blkioWriteBps' | 'blkioReadIops' | 'blkioWriteIops' // prettier-ignore

/** What the machine offers to containers. */
export interface MachineFeatures {
  cgroups: 1 | 2
  /** Whether the kernel accounts swap to control groups. */
  swap: boolean
  /** The other limits that control groups have here. */
  limits: ReadonlySet<KernelLimit>
  /** Sizes of huge pages that control groups limit, by the kernel's names: `2MB`; none without the controller. */
  hugepageSizes: readonly string[]
  /** The memory nodes, as a list: `0`, `0-1`. */
  memoryNodes: string
  /** Whether the kernel enforces AppArmor profiles. */
  appArmor: boolean
  /** Program that `--init` runs as process 1; undefined when none is installed. */
  initPath: string | undefined
  /** The capabilities that the engine itself can have, as the mask of its bounding set. @see proc(5), CapBnd */
  capabilities: bigint
}
