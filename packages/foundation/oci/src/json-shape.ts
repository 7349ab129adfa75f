import { BerthError } from '@berth/core'

/** Checks an untrusted value and returns it typed, holding nothing that was not asked for; `field` is its path, for the error. */
export type Shape<T> = (value: unknown, field: string) => T

export function malformed(field: string, what: string): BerthError {
  return new BerthError('invalid-argument', 'MALFORMED_CONTENT', `${field}: ${what}`)
}

export const string: Shape<string> = (value, field) => {
  if (typeof value !== 'string') throw malformed(field, 'must be a string')
  return value
}

export const boolean: Shape<boolean> = (value, field) => {
  if (typeof value !== 'boolean') throw malformed(field, 'must be true or false')
  return value
}

export const integer: Shape<number> = (value, field) => {
  if (!Number.isSafeInteger(value)) throw malformed(field, 'must be an integer')
  return value as number
}

export const natural: Shape<number> = (value, field) => {
  if (integer(value, field) < 0) throw malformed(field, 'must not be negative')
  return value as number
}

export function exactly<const T>(expected: T): Shape<T> {
  return (value, field) => {
    if (value !== expected) throw malformed(field, `must be ${JSON.stringify(expected)}`)
    return expected
  }
}

export function arrayOf<T>(item: Shape<T>): Shape<T[]> {
  return (value, field) => {
    if (!Array.isArray(value)) throw malformed(field, 'must be a list')
    return value.map((element, index) => item(element, `${field}[${index}]`))
  }
}

export function mapOf<T>(item: Shape<T>): Shape<Record<string, T>> {
  return (value, field) =>
    Object.fromEntries(Object.entries(fieldsOf(value, field)).map(([key, element]) => [key, item(element, `${field}[${JSON.stringify(key)}]`)]))
}

/** A set as Go writes it: each key with an empty object (or null). */
export const keySet: Shape<Record<string, object>> = (value, field) => mapOf<object>(() => ({}))(value, field)

/** An object; a field whose value is null counts as absent, because Go writes empty lists and maps so. */
export function object<T extends object>(required: Shapes<T, RequiredKeys<T>>, optional: Shapes<T, OptionalKeys<T>>): Shape<T> {
  const shapes = Object.entries<Shape<unknown>>({ ...required, ...optional })
  return (value, field) => {
    const fields = fieldsOf(value, field)
    const result: Record<string, unknown> = {}
    for (const [key, shape] of shapes) {
      const given = Object.hasOwn(fields, key) ? fields[key] : undefined
      if (given !== undefined && given !== null) result[key] = shape(given, `${field}.${key}`)
      else if (Object.hasOwn(required, key)) throw malformed(`${field}.${key}`, 'is missing')
    }
    // Each required field is there and each field has passed its own shape, which is what T says.
    return result as T
  }
}

type OptionalKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T]
type RequiredKeys<T> = Exclude<keyof T, OptionalKeys<T>>
type Shapes<T, K extends keyof T> = { [P in K]-?: Shape<NonNullable<T[P]>> }

function fieldsOf(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(field, 'must be an object')
  return value as Record<string, unknown>
}
