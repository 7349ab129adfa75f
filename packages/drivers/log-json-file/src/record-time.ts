import { formatNano } from '@berth/core'

const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/

/** Nanoseconds since the epoch as Go writes a time: RFC 3339 without zeros at the end. */
export function recordTime(time: bigint): string {
  return formatNano(time).replace(/\.?0*Z$/, 'Z')
}

/** Such a time again; undefined for what is none. */
export function parseTime(text: string): bigint | undefined {
  const [, seconds, fraction = ''] = form.exec(text) ?? []
  const value = seconds === undefined ? NaN : Date.parse(`${seconds}Z`)
  return Number.isNaN(value) ? undefined : BigInt(value) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}
