import { BerthError } from '@berth/core'

export interface SecurityOptions {
  noNewPrivileges: boolean
  /** Absent: the default filter; `unconfined`; or a profile given in full. */
  seccomp: 'default' | 'unconfined' | { profile: object }
  unmaskPaths: boolean
}

/**
 * `HostConfig.SecurityOpt`: `no-new-privileges[=true]`, `seccomp=…`, `systempaths=unconfined`. AppArmor and SELinux options are accepted when they ask for
 * nothing to be confined. Throws `invalid-argument` for others.
 */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const parsed: SecurityOptions = { noNewPrivileges: false, seccomp: 'default', unmaskPaths: false }
  const invalid = (option: string): BerthError => new BerthError('invalid-argument', 'SECURITY_OPT_INVALID', `invalid --security-opt 2: "${option}"`)
  for (const option of options) {
    const at = option.search(/[=:]/)
    const [key, value] = at < 0 ? [option, ''] : [option.slice(0, at), option.slice(at + 1)]
    if (key === 'no-new-privileges' && ['', 'true', 'false'].includes(value)) parsed.noNewPrivileges = value !== 'false'
    else if (key === 'systempaths' && value === 'unconfined') parsed.unmaskPaths = true
    else if (key === 'seccomp') parsed.seccomp = seccompOption(value)
    else if ((key === 'apparmor' && value === 'unconfined') || (key === 'label' && value === 'disable')) continue
    else throw invalid(option)
  }
  return parsed
}

function seccompOption(value: string): SecurityOptions['seccomp'] {
  if (value === 'unconfined') return 'unconfined'
  if (value === 'builtin' || value === '') return 'default'
  try {
    const profile: unknown = JSON.parse(value)
    if (profile !== null && typeof profile === 'object' && 'defaultAction' in profile) return { profile }
  } catch {
    // reported below
  }
  throw new BerthError('invalid-argument', 'SECCOMP_INVALID', 'decoding seccomp profile failed: the profile is not a JSON object with a defaultAction')
}
