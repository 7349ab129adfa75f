import { readFileSync } from 'node:fs'
import { BerthError, messageOf } from '@berth/core'
import type { EngineOptions } from '@berth/engine'

type ContainerDefaults = NonNullable<EngineOptions['containerDefaults']>
type Ulimit = NonNullable<ContainerDefaults['ulimits']>[number]

/** What flags and the configuration file say of containers that do not say themselves; absent where they say nothing. */
interface ContainerSettings {
  /** `name=soft[:hard]` */
  ulimits: string[]
  /** Bytes, or with a unit: `64M`. */
  shmSize: string | undefined
  init: boolean | undefined
  /** `builtin`, `unconfined`, or the path of a profile. */
  seccompProfile: string | undefined
  noNewPrivileges: boolean | undefined
  ipcMode: string | undefined
  cgroupnsMode: string | undefined
}

function invalid(message: string, cause?: unknown): BerthError {
  return new BerthError('invalid-argument', 'DAEMON_OPTIONS_INVALID', message, { cause })
}

function ulimit(text: string): Ulimit {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-?\d{1,15})(?::(-?\d{1,15}))?$/.exec(text) ?? []
  if (name === undefined) throw invalid(`--default-ulimit must be NAME=SOFT[:HARD], not '${text}'`)
  if (Number(hard) >= 0 && (Number(soft) < 0 || Number(soft) > Number(hard))) throw invalid(`--default-ulimit ${text}: the soft limit is over the hard one`)
  return { Name: name, Soft: Number(soft), Hard: Number(hard) }
}

const units = ['', 'k', 'm', 'g', 't']

/** `64M`, `64MiB`, `67108864`: powers of 1024, as Docker has them. */
function bytes(text: string): number {
  const [, number, unit = ''] = /^(\d{1,12})\s*([kmgt]?)(?:i?b)?$/i.exec(text) ?? []
  const size = number === undefined ? 0 : Number(number) * 1024 ** units.indexOf(unit.toLowerCase())
  if (size <= 0) throw invalid(`--default-shm-size must be a number of bytes such as 64M, not '${text}'`)
  return size
}

function oneOf<Mode extends string>(flag: string, mode: string | undefined, modes: readonly Mode[]): Mode | undefined {
  if (mode === undefined) return undefined
  const known = modes.find((candidate) => candidate === mode)
  if (!known) throw invalid(`--${flag} must be ${modes.join(' or ')}, not '${mode}'`)
  return known
}

function seccompProfile(setting: string | undefined): string | undefined {
  if (setting === undefined || setting === 'builtin' || setting === 'unconfined') return setting
  try {
    const text = readFileSync(setting, 'utf8')
    const profile: unknown = JSON.parse(text)
    if (profile !== null && typeof profile === 'object' && 'defaultAction' in profile) return text
  } catch (cause) {
    throw invalid(`cannot read the seccomp profile ${setting}: ${messageOf(cause)}`, cause)
  }
  throw invalid(`the seccomp profile ${setting} is not a JSON object with a defaultAction`)
}

/** Throws `invalid-argument` for what is wrong in it, a profile that cannot be read included. */
export function containerDefaults(settings: ContainerSettings): ContainerDefaults {
  const all: ContainerDefaults = {
    ulimits: settings.ulimits.length > 0 ? settings.ulimits.map(ulimit) : undefined,
    ShmSize: settings.shmSize === undefined ? undefined : bytes(settings.shmSize),
    Init: settings.init,
    seccompProfile: seccompProfile(settings.seccompProfile),
    noNewPrivileges: settings.noNewPrivileges,
    IpcMode: oneOf('default-ipc-mode', settings.ipcMode, ['private', 'shareable']),
    CgroupnsMode: oneOf('default-cgroupns-mode', settings.cgroupnsMode, ['host', 'private']),
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** dockerd's `default-ulimits` is an object of limits by name: as its flag has them. Anything else is given back for the flag's own check. */
export function ulimitsOfFile(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  return Object.entries(value).map(([name, limit]) => {
    const { Soft, Hard } = (limit ?? {}) as { Soft?: unknown; Hard?: unknown }
    return `${name}=${String(Soft)}:${String(Hard)}`
  })
}
