import { BerthError } from '@berth/core'
import type { Healthcheck, ImageRunConfig } from '@berth/oci'

/**
 * Applies Dockerfile instructions (`CMD`, `ENTRYPOINT`, `ENV`, `EXPOSE`, `HEALTHCHECK`, `LABEL`, `ONBUILD`, `STOPSIGNAL`, `USER`, `VOLUME`, `WORKDIR`) to a config.
 * @throws `invalid-argument` in Docker's words for any other instruction or a malformed one.
 */
export function applyChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const result = structuredClone(config)
  for (const line of changes.flatMap((change) => change.split('\n')).map((text) => text.trim())) {
    if (line === '' || line.startsWith('#')) continue
    const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line)!
    const name = word.toUpperCase()
    const instruction = Object.hasOwn(instructions, name) ? instructions[name] : undefined
    if (!instruction) throw invalid(`${word.slice(0, 64)} is not a valid change command`)
    if (rest === '') throw invalid(`${name} requires at least one argument`)
    instruction(result, rest)
  }
  return result
}

const instructions: Record<string, (config: ImageRunConfig, rest: string) => void> = {
  CMD: (config, rest) => (config.Cmd = command(rest)),
  ENTRYPOINT: (config, rest) => (config.Entrypoint = command(rest)),
  ENV(config, rest) {
    for (const [key, value] of pairs('ENV', rest)) {
      config.Env = [...(config.Env ?? []).filter((entry) => !entry.startsWith(`${key}=`)), `${key}=${value}`]
    }
  },
  LABEL(config, rest) {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs('LABEL', rest)) }
  },
  EXPOSE(config, rest) {
    for (const word of words(rest)) {
      const [, first, last, protocol = 'tcp'] = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word) ?? []
      const [from, to] = [Number(first), Number(last ?? first)]
      if (!(from > 0 && from <= to && to <= 65_535)) throw invalid(`invalid containerPort: ${word}`)
      const ports = Array.from({ length: to - from + 1 }, (_, index) => [`${from + index}/${protocol.toLowerCase()}`, {}])
      config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(ports) }
    }
  },
  VOLUME(config, rest) {
    const paths = jsonStrings(rest) ?? words(rest)
    if (paths.some((path) => path.trim() === '')) throw invalid('VOLUME specified can not be an empty string')
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) }
  },
  USER: (config, rest) => (config.User = single('USER', rest)),
  WORKDIR(config, rest) {
    const path = words(rest).join(' ')
    const absolute = path.startsWith('/') ? path : `${config.WorkingDir || ''}/${path}`
    config.WorkingDir = absolute.replace(/\/{2,}/g, '/')
  },
  STOPSIGNAL(config, rest) {
    const signal = single('STOPSIGNAL', rest)
    if (!/^(?:\d{1,2}|(?:SIG)?[A-Z][A-Z0-9+-]*)$/i.test(signal)) throw invalid(`Invalid signal: ${signal}`)
    config.StopSignal = signal
  },
  ONBUILD(config, rest) {
    if (/^(?:ONBUILD|FROM|MAINTAINER)\b/i.test(rest)) throw invalid(`${/^\w+/.exec(rest)![0].toUpperCase()} isn't allowed as an ONBUILD trigger`)
    config.OnBuild = [...(config.OnBuild ?? []), rest]
  },
  HEALTHCHECK: (config, rest) => (config.Healthcheck = healthcheck(rest)),
}

const durationFields: Record<string, 'Interval' | 'Timeout' | 'StartPeriod' | 'StartInterval'> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
}

function healthcheck(text: string): Healthcheck {
  const check: Healthcheck = {}
  let rest = text
  for (let option; (option = /^--([a-z-]+)=(\S+)\s*/.exec(rest)); rest = rest.slice(option[0].length)) {
    const [, name, value] = option as unknown as [string, string, string]
    const field = Object.hasOwn(durationFields, name) ? durationFields[name] : undefined
    if (field) check[field] = nanoseconds(value)
    else if (name === 'retries' && /^\d{1,9}$/.test(value)) check.Retries = Number(value)
    else throw invalid(`Unknown flag: ${name}`)
  }
  const [, kind = '', line = ''] = /^(\S+)\s*(.*)$/s.exec(rest) ?? []
  if (kind.toUpperCase() === 'NONE' && line === '') return { Test: ['NONE'] }
  if (kind.toUpperCase() !== 'CMD' || line === '') throw invalid(`Unknown type ${JSON.stringify(kind.slice(0, 64))} in HEALTHCHECK (try CMD)`)
  const list = jsonStrings(line)
  return { Test: list ? ['CMD', ...list] : ['CMD-SHELL', line], ...check }
}

function nanoseconds(value: string): number {
  const units: Record<string, number> = { h: 3.6e12, m: 6e10, s: 1e9, ms: 1e6, us: 1e3, ns: 1 }
  if (!/^(?:\d+(?:\.\d+)?(?:h|ms|m|us|ns|s))+$/.test(value)) throw invalid(`time: invalid duration ${JSON.stringify(value.slice(0, 64))}`)
  return [...value.matchAll(/([\d.]+)(h|ms|m|us|ns|s)/g)].reduce((sum, [, count, unit]) => sum + Math.round(Number(count) * units[unit!]!), 0)
}

/** A JSON list is run as it is, anything else by a shell. */
function command(rest: string): string[] {
  return jsonStrings(rest) ?? ['/bin/sh', '-c', rest]
}

function jsonStrings(text: string): string[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
  } catch {
    return undefined
  }
}

/** `key=value …` with quotes, or the older `key the whole rest`. */
function pairs(name: string, rest: string): [string, string][] {
  const [first = ''] = /^\S+/.exec(rest) ?? []
  if (!first.includes('=')) {
    const [, key, value] = /^(\S+)\s+(.+)$/s.exec(rest) ?? []
    if (key === undefined || value === undefined) throw invalid(`${name} must have two arguments`)
    return [[key, value]]
  }
  return words(rest).map((word) => {
    const equals = word.indexOf('=')
    if (equals < 0) throw invalid(`Syntax error - can't find = in ${JSON.stringify(word.slice(0, 64))}. Must be of the form: name=value`)
    if (equals === 0) throw invalid(`${name} names can not be blank`)
    return [word.slice(0, equals), word.slice(equals + 1)]
  })
}

function single(name: string, rest: string): string {
  const [word, ...more] = words(rest)
  if (word === undefined || more.length > 0) throw invalid(`${name} requires exactly one argument`)
  return word
}

/** Words as a shell splits them: quotes group, a backslash takes the next character as it is. */
function words(text: string): string[] {
  const pieces = text.match(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/gsu) ?? []
  return pieces.map((piece) =>
    piece.replace(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/gsu, (_, double?: string, simple?: string, escaped?: string) =>
      double !== undefined ? double.replace(/\\(["\\$])/g, '$1') : (simple ?? escaped ?? ''),
    ),
  )
}

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'INVALID_CHANGE', message)
}
