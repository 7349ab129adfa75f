import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'

/** Settings of the kernel that belong to an IPC namespace. @see ipc_namespaces(7) */
const ofIpc = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/

/** `net/ipv4/conf/eth0.1/forwarding` is the other way to write such a name: which of both comes first decides. @see sysctl.d(5) */
function withDots(name: string): string {
  const first = /[./]/.exec(name)?.[0]
  if (first !== '/') return name
  return name.replaceAll(/[./]/g, (separator) => (separator === '.' ? '/' : '.'))
}

/**
 * Refuses settings that are not of a namespace that the container has for itself or shares with another container: they would be the machine's.
 * Throws `invalid-argument` with the runtime's words.
 */
export function checkSysctls({ Sysctls, NetworkMode, IpcMode, UTSMode }: HostConfig): void {
  const invalid = (message: string): BerthError => new BerthError('invalid-argument', 'SYSCTL_REFUSED', message)
  for (const name of Object.keys(Sysctls ?? {})) {
    const key = withDots(name)
    if (key.startsWith('net.')) {
      if (NetworkMode === 'host') throw invalid(`sysctl "${name}" not allowed in host network namespace`)
    } else if (ofIpc.test(key)) {
      if (IpcMode === 'host') throw invalid(`sysctl "${name}" is not allowed in the hosts ipc namespace`)
    } else if (key === 'kernel.domainname') {
      if (UTSMode === 'host') throw invalid(`sysctl "${name}" is not allowed in the hosts UTS namespace`)
    } else if (key === 'kernel.hostname') {
      throw invalid(`sysctl "${name}" is not allowed as it conflicts with the OCI "hostname" field`)
    } else {
      throw invalid(`sysctl "${name}" is not in a separate kernel namespace`)
    }
  }
}
