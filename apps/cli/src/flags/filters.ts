import { usageError } from '../cli.ts'

/** `--filter key=value`, several times. Throws `invalid-argument`. */
export function parseFilters(entries: readonly string[] = []): Record<string, string[]> {
  const filters: Record<string, string[]> = {}
  for (const entry of entries) {
    const [key = '', value] = entry.split(/=(.*)/s)
    if (value === undefined) throw usageError(`invalid argument "${entry}" for "-f, --filter" flag: bad format of filter (expected name=value)`)
    filters[key.trim()] = [...(filters[key.trim()] ?? []), value]
  }
  return filters
}
