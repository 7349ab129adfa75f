import { usageError } from '../cli.ts'

const exponents: Record<string, number> = { '': 0, b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 }

/** A size in bytes from `64m`, `1.5g`, `1024`; units are powers of 1024. Throws `invalid-argument`. */
export function parseSize(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)(?:i?b)?$/i.exec(text) ?? []
  if (number === undefined) throw usageError(`invalid size: '${text}'`)
  return Math.floor(Number(number) * 1024 ** (exponents[unit.toLowerCase()] ?? 0))
}
