import { readFileSync } from 'node:fs'
import type { HostConfig } from '@berth/api-types'
import { messageOf } from '@berth/core'
import { usageError } from '../cli.ts'

/**
 * `--security-opt`. A seccomp profile is a file of this machine, not of the engine's: its text is sent. `systempaths=unconfined` is another member of
 * the request. Throws `invalid-argument`.
 */
export function parseSecurityOptions(options: readonly string[]): Pick<HostConfig, 'SecurityOpt' | 'MaskedPaths' | 'ReadonlyPaths'> {
  const unmasked = options.includes('systempaths=unconfined')
  const SecurityOpt = options.filter((option) => option !== 'systempaths=unconfined').map(parseSecurityOption)
  return { SecurityOpt: SecurityOpt.length > 0 || !unmasked ? SecurityOpt : undefined, ...(unmasked && { MaskedPaths: [], ReadonlyPaths: [] }) }
}

function parseSecurityOption(option: string): string {
  const [key = '', value] = option.includes('=') ? option.split(/=(.*)/s) : option.split(/:(.*)/s)
  if (value === undefined && key !== 'no-new-privileges') throw usageError(`invalid --security-opt: "${option}"`)
  if (key !== 'seccomp' || value === undefined || ['unconfined', 'builtin', ''].includes(value)) return option
  let profile: string
  try {
    profile = readFileSync(value, 'utf8')
  } catch (cause) {
    throw usageError(`opening seccomp profile (${value}) failed: ${messageOf(cause)}`)
  }
  try {
    return `seccomp=${JSON.stringify(JSON.parse(profile))}`
  } catch (cause) {
    throw usageError(`compacting json for seccomp profile (${value}) failed: ${messageOf(cause)}`)
  }
}
