import { BerthError } from '@berth/core'

/** Options of the default log driver from `NAME=VALUE`. Throws `invalid-argument` for what is none. */
export function logOptions(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((option) => {
      const end = option.indexOf('=')
      if (end < 1) throw new BerthError('invalid-argument', 'DAEMON_OPTIONS_INVALID', `the log option '${option}' is not NAME=VALUE`)
      return [option.slice(0, end), option.slice(end + 1)]
    }),
  )
}

/** The configuration file has them as an object; as a list of `NAME=VALUE`, or as they are when they are something else. */
export function logOptionsOfFile(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  const options = Object.entries(value)
  return options.every(([, text]) => typeof text === 'string') ? options.map(([name, text]) => `${name}=${text as string}`) : value
}
