import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'

/**
 * What a container asks of the engine beyond the Engine API: annotations `io.berth.…` of its host configuration. Labels are never looked at for this, as an
 * image brings its own.
 */
export interface EngineAnnotations {
  /** `io.berth.restart-unhealthy=true`: a container that becomes unhealthy is stopped and started again. */
  restartUnhealthy: boolean
  /** `io.berth.exec-on-disconnect=kill`: an attached exec is killed when its client goes; `keep` is Docker's way. The engine's default when absent. */
  execOnDisconnect: 'keep' | 'kill' | undefined
  /** `io.berth.hugetlb.2MB=<bytes>`: limits of huge pages, by the kernel's name of their size. */
  hugepageLimits: { pageSize: string; limit: number }[]
}

const prefix = 'io.berth.'
const hugetlb = 'hugetlb.'

/** Throws `invalid-argument` for an annotation of the engine that does not exist or a value that it does not take. */
export function engineAnnotations({ Annotations }: Pick<HostConfig, 'Annotations'>): EngineAnnotations {
  const found: EngineAnnotations = { restartUnhealthy: false, execOnDisconnect: undefined, hugepageLimits: [] }
  for (const [name, value] of Object.entries(Annotations ?? {})) {
    if (!name.startsWith(prefix)) continue
    const key = name.slice(prefix.length)
    if (key === 'restart-unhealthy' && ['true', 'false'].includes(value)) found.restartUnhealthy = value === 'true'
    else if (key === 'exec-on-disconnect' && (value === 'keep' || value === 'kill')) found.execOnDisconnect = value
    else if (key.startsWith(hugetlb) && /^\d{1,15}$/.test(value)) found.hugepageLimits.push({ pageSize: key.slice(hugetlb.length), limit: Number(value) })
    else {
      const known = 'io.berth.restart-unhealthy=true|false, io.berth.exec-on-disconnect=keep|kill and io.berth.hugetlb.<size>=<bytes>'
      throw new BerthError('invalid-argument', 'ANNOTATION_INVALID', `invalid annotation ${name}=${value}: the engine takes ${known}`)
    }
  }
  return found
}
