import { BerthError } from '@berth/core'
import { type RequestTypes, schemas } from './generated/requests.ts'
import type { Schema } from './schema.ts'

/** Deeper than any request: a guard for the stack. */
const maxDepth = 64

const ranges: Record<string, [number, number]> = {
  int64: [-(2 ** 63), 2 ** 63],
  uint64: [0, 2 ** 64],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  uint16: [0, 65535],
  uint8: [0, 255],
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
}

function wrong(path: string, expected: string, value: unknown): BerthError {
  return new BerthError('invalid-argument', 'REQUEST_INVALID', `invalid JSON: ${path === '' ? 'the body' : path} must be ${/^[aeiou]/.test(expected) ? 'an' : 'a'} ${expected}, not ${kindOf(value)}`)
}

const member = (path: string, name: string): string => (/^\w+$/.test(name) ? (path === '' ? name : `${path}.${name}`) : `${path}[${JSON.stringify(name)}]`)

/** Lists that clients may also send as one string, which stands for a list of one. */
const stringLists = new Set(['Cmd', 'Entrypoint'])

function checkObject(value: object, schema: Schema, path: string, depth: number): Record<string, unknown> {
  const checked: Record<string, unknown> = {}
  for (const [name, entry] of Object.entries(value) as [string, unknown][]) {
    const named = schema.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined
    const property = named ?? (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined)
    if (!property && schema.properties) continue // what is not known is not passed on
    // A missing member and null are the same, but in maps the key alone says something.
    if (entry === null && named) continue
    const prepared = stringLists.has(name) && typeof entry === 'string' ? [entry] : entry
    Object.defineProperty(checked, name, { value: property ? check(prepared, property, member(path, name), depth + 1) : prepared, enumerable: true, writable: true, configurable: true })
  }
  return checked
}

function check(value: unknown, schema: Schema, path: string, depth: number): unknown {
  if (depth > maxDepth) throw new BerthError('invalid-argument', 'REQUEST_INVALID', `invalid JSON: ${path} is nested too deeply`)
  if (value === null) return null
  if (schema.$ref) return check(value, schemas[schema.$ref] ?? {}, path, depth)
  if (schema.allOf) {
    const parts = schema.allOf.map((part) => check(value, part, path, depth + 1))
    return parts.every((part) => typeof part === 'object') ? Object.assign({}, ...parts) : parts.at(-1)
  }
  switch (schema.type) {
    case 'string':
    case 'boolean':
      if (typeof value !== schema.type) throw wrong(path, schema.type, value)
      return value
    case 'number':
      if (typeof value !== 'number') throw wrong(path, 'number', value)
      return value
    case 'integer': {
      if (typeof value !== 'number') throw wrong(path, 'number', value)
      const [low, high] = ranges[schema.format ?? 'int64'] ?? [-(2 ** 63), 2 ** 63]
      if (!Number.isInteger(value) || value < low || value > high) throw new BerthError('invalid-argument', 'REQUEST_INVALID', `invalid JSON: ${path} must be a whole number from ${low} to ${high}, not ${value}`)
      return value
    }
    case 'array':
      if (!Array.isArray(value)) throw wrong(path, 'array', value)
      return schema.items ? value.map((item, index) => check(item, schema.items ?? {}, `${path}[${index}]`, depth + 1)) : value
    default:
      if (!schema.properties && !schema.additionalProperties && schema.type !== 'object') return value
      if (typeof value !== 'object' || Array.isArray(value)) throw wrong(path, 'object', value)
      return checkObject(value, schema, path, depth)
  }
}

/**
 * Checks the decoded JSON body of a request as Docker's own decoder would: `null` is the same as missing, members that are not known are left out,
 * a wrong type is refused. What comes back is a fresh value that holds only known members. Throws `invalid-argument` naming the member.
 */
export function parseRequest<Name extends keyof RequestTypes>(name: Name, body: unknown): RequestTypes[Name] {
  if (body === null || typeof body !== 'object' || Array.isArray(body)) throw wrong('', 'object', body)
  return check(body, { $ref: name }, '', 0) as RequestTypes[Name]
}
