import { BerthError } from '@berth/core'
import type { Filters } from './backend.ts'

/** A request's query parameters, read as Docker reads them. Everything throws `invalid-argument` naming the parameter. */
export class Query {
  readonly #values: URLSearchParams

  constructor(search: string) {
    this.#values = new URLSearchParams(search)
  }

  /** Undefined where it is missing or empty. */
  text(name: string): string | undefined {
    return this.#values.get(name) || undefined
  }

  all(name: string): string[] {
    return this.#values.getAll(name)
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** Anything but the words for no is yes. */
  flag(name: string, byDefault = false): boolean {
    const value = this.#values.get(name)
    return value === null ? byDefault : !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase())
  }

  integer(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    if (!/^-?\d{1,15}$/.test(value)) throw new BerthError('invalid-argument', 'QUERY_INVALID', `invalid value for ${name}: "${value}" is not a whole number`)
    return Number(value)
  }

  /** A moment as `seconds[.nanoseconds]` since the epoch; in nanoseconds. */
  time(name: string): bigint | undefined {
    const value = this.text(name)
    if (value === undefined || value === '0') return undefined
    const match = /^(-?\d{1,18})(?:\.(\d{1,9})\d*)?$/.exec(value)
    if (match) return BigInt(match[1] ?? 0) * 1_000_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'))
    const parsed = Date.parse(value)
    if (Number.isNaN(parsed)) throw new BerthError('invalid-argument', 'QUERY_INVALID', `invalid value for ${name}: "${value}" is no time`)
    return BigInt(parsed) * 1_000_000n
  }

  /** As `os/architecture[/variant]`. Clients send the JSON of an OCI platform, or that text. */
  platform(name: string): string | undefined {
    return this.platforms(name)?.[0]
  }

  /** As {@link platform}, each time that the parameter stands there. */
  platforms(name: string): string[] | undefined {
    const values = this.all(name).filter((value) => value !== '')
    return values.length > 0 ? values.map((value) => (value.startsWith('{') ? platformOf(value) : value)) : undefined
  }

  /** A terminal's size from `h` and `w`. */
  size(): { width: number; height: number } {
    return { width: this.integer('w') ?? 0, height: this.integer('h') ?? 0 }
  }

  /** `{"label":["a=b"]}`, or the older `{"label":{"a=b":true}}`. */
  filters(): Filters {
    const text = this.text('filters')
    if (text === undefined) return new Map()
    const invalid = (): BerthError => new BerthError('invalid-argument', 'FILTERS_INVALID', 'invalid filters: they must be a JSON object of lists of strings')
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      throw invalid()
    }
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw invalid()
    return new Map(
      Object.entries(value).map(([key, values]: [string, unknown]): [string, string[]] => {
        if (Array.isArray(values) && values.every((item) => typeof item === 'string')) return [key, values as string[]]
        if (values !== null && typeof values === 'object' && !Array.isArray(values)) return [key, Object.entries(values).filter(([, on]) => on === true).map(([item]) => item)]
        throw invalid()
      }),
    )
  }
}

function platformOf(text: string): string {
  const invalid = (what: string): BerthError => new BerthError('invalid-argument', 'PLATFORM_INVALID', `failed to parse platform: ${what}`)
  let platform: { os?: unknown; architecture?: unknown; variant?: unknown }
  try {
    platform = JSON.parse(text) as typeof platform
  } catch {
    throw invalid('invalid JSON')
  }
  const { os, architecture, variant = '' } = platform
  if (typeof os !== 'string' || typeof architecture !== 'string' || typeof variant !== 'string') throw invalid('both OS and Architecture must be provided')
  if (os === '' || architecture === '') throw invalid('both OS and Architecture must be provided')
  return [os, architecture, variant].filter(Boolean).join('/')
}
