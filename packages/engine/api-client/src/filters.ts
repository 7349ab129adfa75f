/** Which entities are meant: every key must match, by any of its values. */
export type Filters = Readonly<Record<string, readonly string[]>>

/** As the API takes them. */
export function encodeFilters(filters: Filters | undefined): string | undefined {
  return filters && Object.keys(filters).length > 0 ? JSON.stringify(filters) : undefined
}
