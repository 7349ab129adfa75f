import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'

/** Which system calls a container may make: the default filter, all, or a profile given in full. */
export type SeccompChoice = 'default' | 'unconfined' | { profile: object }

export interface SecurityOptions {
  /** Absent when nothing was said. */
  noNewPrivileges: boolean | undefined
  /** Absent when nothing was said. */
  seccomp: SeccompChoice | undefined
  /** `unconfined`, or the name of a profile that the kernel has loaded. */
  appArmor: string | undefined
  unmaskPaths: boolean
}

const booleans: Record<string, boolean> = { '1': true, t: true, true: true, '0': false, f: false, false: false }

/**
 * `HostConfig.SecurityOpt`: `no-new-privileges[=true]`, `seccomp=…`, `apparmor=…`, `systempaths=unconfined`. SELinux options are accepted when they ask for
 * nothing to be confined. Throws `invalid-argument` for others, with Docker's words where it has some.
 */
export function parseSecurityOptions({ SecurityOpt }: Pick<HostConfig, 'SecurityOpt'>): SecurityOptions {
  const parsed: SecurityOptions = { noNewPrivileges: undefined, seccomp: undefined, appArmor: undefined, unmaskPaths: false }
  const invalid = (option: string, step: number): BerthError => new BerthError('invalid-argument', 'SECURITY_OPT_INVALID', `invalid --security-opt ${step}: ${JSON.stringify(option)}`)
  for (const option of SecurityOpt ?? []) {
    const at = option.includes('=') ? option.indexOf('=') : option.indexOf(':')
    const [key, value] = at < 0 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)]
    if (value === undefined) {
      if (key === 'no-new-privileges') parsed.noNewPrivileges = true
      else if (key !== 'disable') throw invalid(option, 1)
    } else if (key === 'no-new-privileges') {
      parsed.noNewPrivileges = booleans[value.toLowerCase()]
      if (parsed.noNewPrivileges === undefined) throw invalid(option, 2)
    } else if (key === 'systempaths' && value === 'unconfined') {
      parsed.unmaskPaths = true
    } else if (key === 'seccomp') {
      parsed.seccomp = parseSeccomp(value)
    } else if (key === 'apparmor' && value !== '') {
      parsed.appArmor = value
    } else if (key === 'label') {
      // Elsewhere nothing would be confined by them, and whoever asks for a label relies on that.
      if (value !== 'disable') throw new BerthError('invalid-argument', 'SELINUX_UNSUPPORTED', `invalid --security-opt 2: ${JSON.stringify(option)}: SELinux labels are not supported`)
    } else {
      throw invalid(option, 2)
    }
  }
  return parsed
}

/** `unconfined`, `builtin`, or a profile as JSON, as clients send a file's content. Throws `invalid-argument`. */
export function parseSeccomp(value: string): SeccompChoice {
  if (value === 'unconfined') return 'unconfined'
  if (value === 'builtin' || value === '') return 'default'
  let why = 'the profile is not a JSON object with a defaultAction'
  try {
    const profile: unknown = JSON.parse(value)
    if (isProfile(profile)) return { profile }
  } catch (error) {
    why = error instanceof Error ? error.message.slice(0, 200) : why
  }
  throw new BerthError('invalid-argument', 'SECCOMP_INVALID', `Decoding seccomp profile failed: ${why}`)
}

function isProfile(value: unknown): value is object {
  if (value === null || typeof value !== 'object' || !('defaultAction' in value)) return false
  const rules = 'syscalls' in value ? (value.syscalls ?? []) : []
  return Array.isArray(rules) && rules.every((rule) => rule !== null && typeof rule === 'object')
}
