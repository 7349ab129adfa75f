import { BerthError } from '@berth/core'

const unitMs: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, 'µs': 1e-3, ns: 1e-6 }

/**
 * A moment as Docker's filters take it: seconds since the epoch, a date with or without a time, or a Go duration before now (`1h30m`).
 * @returns milliseconds since the epoch
 * @throws `invalid-argument`
 */
export function parseTimestamp(value: string, now = Date.now()): number {
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000
  const parts = /^(?:\d+(?:\.\d+)?(?:h|ms|m|us|µs|ns|s))+$/.test(value) ? [...value.matchAll(/(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)/g)] : []
  if (parts.length > 0) return now - parts.reduce((sum, [, count, unit]) => sum + Number(count) * unitMs[unit!]!, 0)
  const time = /^\d{4}-\d{2}-\d{2}(?:T\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?)?(?:Z|[+-]\d{2}:\d{2})?$/.test(value) ? Date.parse(completed(value)) : Number.NaN
  if (Number.isNaN(time)) throw new BerthError('invalid-argument', 'INVALID_TIMESTAMP', `failed to parse value as time or duration: "${value.slice(0, 64)}"`)
  return time
}

/** ECMAScript reads a date and an hour alone, and a date with a zone, not at all. */
function completed(value: string): string {
  const [, date, time = '', zone = ''] = /^(\d{4}-\d{2}-\d{2})(T[\d:.]+)?(.*)$/.exec(value)!
  const full = time === '' ? 'T00:00:00' : time.length === 3 ? `${time}:00:00` : time
  return `${date}${full}${zone}`
}
