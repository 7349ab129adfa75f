import { usageError } from '../cli.ts'

const nanoseconds: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }

/** Nanoseconds from a Go duration: `1m30s`, `500ms`. Throws `invalid-argument`. */
export function parseDuration(text: string): number {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) throw usageError(`invalid duration '${text}': it is written as in 1m30s`)
  let total = 0
  for (const [, number, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) total += Number(number) * (nanoseconds[unit] ?? 0)
  return Math.round(total)
}

/** A moment in seconds since the epoch, from such a number, a duration before `now` (milliseconds) or a date. Throws `invalid-argument`. */
export function parseMoment(text: string, now: number): string {
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text
  if (/^[\d.]+[a-zµ]/.test(text)) return ((now - parseDuration(text) / 1e6) / 1000).toFixed(3)
  const date = Date.parse(text)
  if (Number.isNaN(date)) throw usageError(`invalid time '${text}': it is a date, seconds since 1970 or a duration like 10m`)
  return (date / 1000).toFixed(3)
}
