import { BerthError } from '@berth/core'
import type { RuntimeSettings } from '@berth/engine'

const invalid = (message: string): BerthError => new BerthError('invalid-argument', 'DAEMON_OPTIONS_INVALID', message)

/** Runtimes from `NAME=PATH`, or `NAME=` and settings as the configuration file has them in JSON. Throws `invalid-argument` for what is none. */
export function runtimeOptions(given: readonly string[]): Record<string, RuntimeSettings> {
  return Object.fromEntries(
    given.map((option) => {
      const [, name, value = ''] = /^([A-Za-z0-9][A-Za-z0-9_.-]*)=(.+)$/s.exec(option) ?? []
      if (!name) throw invalid(`the runtime '${option}' is not NAME=PATH`)
      if (name === 'runc') throw invalid("runtime name 'runc' is reserved")
      return [name, value.startsWith('{') ? settingsOf(name, JSON.parse(value) as Record<string, unknown>) : { path: value }]
    }),
  )
}

/** The configuration file has them as an object; as a list of `NAME=JSON`, or as they are when they are something else. */
export function runtimesOfFile(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  return Object.entries(value).map(([name, settings]) => `${name}=${JSON.stringify(settings)}`)
}

function settingsOf(name: string, { path, runtimeArgs, runtimeType, options, ...unknown }: Record<string, unknown>): RuntimeSettings {
  const [strange] = Object.keys(unknown)
  if (strange) throw invalid(`the runtime ${name} has an unknown setting: ${strange}`)
  if ((path === undefined) === (runtimeType === undefined)) throw invalid(`the runtime ${name} must have either a path or a runtimeType`)
  const isText = (text: unknown): text is string => typeof text === 'string' && text !== ''
  if (path !== undefined) {
    const isList = runtimeArgs === undefined || (Array.isArray(runtimeArgs) && runtimeArgs.every((arg) => typeof arg === 'string'))
    if (!isText(path) || !isList || options !== undefined) throw invalid(`the runtime ${name}: path is text, runtimeArgs a list of texts, and options are of a runtimeType`)
    return { path, runtimeArgs: runtimeArgs as string[] | undefined }
  }
  const entries = Object.entries((options ?? {}) as Record<string, unknown>)
  const areKnown = entries.every(([key, text]) => ['TypeUrl', 'ConfigPath', 'ConfigBody'].includes(key) && typeof text === 'string')
  if (!isText(runtimeType) || !areKnown || runtimeArgs !== undefined) throw invalid(`the runtime ${name}: runtimeType is text, and its options are TypeUrl, ConfigPath and ConfigBody`)
  return { runtimeType, options: options as Record<string, string> | undefined }
}
