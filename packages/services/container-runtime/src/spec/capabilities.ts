import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'

/** Every capability of Linux, in the kernel's order (capabilities(7)). */
const all = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE',
  'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN',
  'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE',
  'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
] // prettier-ignore

/** What a container has unless asked otherwise: Docker's default set. */
const byDefault = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL',
  'AUDIT_WRITE',
] // prettier-ignore

function named(capability: string, field: 'CapAdd' | 'CapDrop'): string {
  const name = capability.toUpperCase().replace(/^CAP_/, '')
  if (name !== 'ALL' && !all.includes(name)) {
    throw new BerthError('invalid-argument', 'CAPABILITY_UNKNOWN', `invalid ${field}: unknown capability: "CAP_${name}"`)
  }
  return name
}

/**
 * The capability set of a container, `CAP_…`, from `Privileged`, `CapAdd` and `CapDrop`. Throws `invalid-argument` for an unknown name.
 * @param available The bounding set of the engine as a mask: where all are asked for, none that the machine itself was denied.
 */
export function capabilitiesOf(host: Pick<HostConfig, 'Privileged' | 'CapAdd' | 'CapDrop'>, available: bigint): string[] {
  const add = (host.CapAdd ?? []).map((name) => named(name, 'CapAdd'))
  const drop = (host.CapDrop ?? []).map((name) => named(name, 'CapDrop'))
  const every = all.filter((_name, number) => (available >> BigInt(number)) & 1n)
  if (host.Privileged) return every.map((name) => `CAP_${name}`)
  const base = add.includes('ALL') ? every : drop.includes('ALL') ? [] : byDefault
  const wanted = new Set([...base.filter((name) => !drop.includes(name)), ...add.filter((name) => name !== 'ALL')])
  return all.filter((name) => wanted.has(name)).map((name) => `CAP_${name}`)
}
