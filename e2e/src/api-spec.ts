import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

/** The part of Swagger 2 that the specification of the Engine API uses. */
export interface Schema {
  $ref?: string
  type?: string
  format?: string
  enum?: unknown[]
  pattern?: string
  required?: string[]
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: Schema | boolean
  allOf?: Schema[]
  'x-nullable'?: boolean
}

interface Operation {
  id: string
  method: string
  path: string
  body?: Schema
  responses: Record<string, Schema | null>
}

interface Spec {
  definitions: Record<string, Schema>
  operations: Operation[]
}

const spec = JSON.parse(readFileSync(join(import.meta.dirname, '../../packages/foundation/api-types/spec/engine-api-v1.51.json'), 'utf8')) as Spec

/** Operations of the API under one of the first parts of a path: `containers`, `exec`. */
export function operationsUnder(...areas: readonly string[]): Operation[] {
  return spec.operations.filter(({ path }) => areas.includes(path.split('/')[1] ?? ''))
}

/** The operation that a request is one of; fixed paths before those with parts that vary. */
export function operationOf(method: string, path: string): Operation | undefined {
  const matches = spec.operations.filter((operation) => operation.method === method && new RegExp(`^${operation.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path))
  return matches.toSorted((a, b) => (a.path.match(/\{/g)?.length ?? 0) - (b.path.match(/\{/g)?.length ?? 0))[0]
}

export function definition(name: string): Schema {
  const found = spec.definitions[name]
  if (!found) throw new Error(`the API has no definition ${name}`)
  return found
}

/** The schema of an operation's request. */
export function bodyOf(id: string): Schema {
  const found = spec.operations.find((operation) => operation.id === id)?.body
  if (!found) throw new Error(`the API has no ${id} with a body`)
  return found
}

/**
 * Members that dockerd 28 answers with and the specification does not have, by where they are: its Go types have them, its Swagger file forgot them.
 */
const unspecified = new Set(['HostConfig.ContainerIDFile', 'ContainerSummary.HostConfig.NetworkMode'])

/** Members that dockerd 28 gives as null where nothing was asked for, or nothing is known yet; the specification does not say so. */
const nullable = new Set(['HostConfig.MemorySwappiness', 'HostConfig.OomKillDisable', 'HostConfig.PidsLimit', 'HostConfig.Init', 'ExitCode'])

/** Values that dockerd 28 answers with although the specification's list of values lacks them, by member. */
const unlisted: Record<string, unknown[]> = {
  // Of a container that has never been given one.
  Isolation: [''],
  Name: [''],
  CgroupnsMode: [''],
  // Any driver that is installed.
  Type: ['json-file', 'local', 'none'],
}

/** A schema with what it refers to in its place: all members of all its parts. */
export function resolve(schema: Schema): Schema {
  if (schema.$ref) {
    const { $ref, ...rest } = schema
    return { ...resolve(definition($ref.split('/').at(-1) ?? '')), ...rest }
  }
  if (!schema.allOf) return schema
  const parts = schema.allOf.map(resolve)
  return { ...schema, type: 'object', properties: Object.assign({}, ...parts.map(({ properties }) => properties)), required: parts.flatMap(({ required = [] }) => required) }
}

const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value)

/**
 * What is wrong with a value, one line each; nothing when it is as the specification says. Two things are allowed beyond it, as dockerd does them
 * everywhere: `null` for an empty list or map (Go writes an empty slice so), and members that a version does not have are left out.
 */
export function violations(given: Schema, value: unknown, at = ''): string[] {
  const schema = resolve(given)
  const kind = kindOf(value)
  if (value === null) {
    const isEmpty = schema.type === 'array' || schema.type === 'object' || schema.properties !== undefined
    return schema['x-nullable'] || isEmpty || schema.type === undefined || nullable.has(at) ? [] : [`${at}: null in place of ${schema.type}`]
  }
  const member = at.split('.').at(-1) ?? ''
  if (schema.enum && !schema.enum.some((listed) => isDeepStrictEqual(listed, value)) && !unlisted[member]?.includes(value)) return [`${at}: ${JSON.stringify(value)} is none of ${JSON.stringify(schema.enum)}`]
  switch (schema.type) {
    case undefined:
      return schema.properties ? objectViolations(schema, value, kind, at) : []
    case 'string': {
      if (typeof value !== 'string') return [`${at}: ${kind} in place of string`]
      if (schema.pattern && !new RegExp(schema.pattern).test(value)) return [`${at}: ${JSON.stringify(value)} does not match ${schema.pattern}`]
      return /^date-?time$/i.test(schema.format ?? '') && Number.isNaN(Date.parse(value)) ? [`${at}: ${JSON.stringify(value)} is no time`] : []
    }
    case 'number':
      return kind === 'integer' || kind === 'number' ? [] : [`${at}: ${kind} in place of number`]
    case 'array':
      if (kind !== 'array') return [`${at}: ${kind} in place of array`]
      return (value as unknown[]).flatMap((item, index) => violations(schema.items ?? {}, item, `${at}[${index}]`))
    case 'object':
      return objectViolations(schema, value, kind, at)
    default:
      return kind === schema.type ? [] : [`${at}: ${kind} in place of ${schema.type}`]
  }
}

function objectViolations(schema: Schema, value: unknown, kind: string, at: string): string[] {
  if (kind !== 'object') return [`${at}: ${kind} in place of object`]
  const { properties, additionalProperties, required = [] } = schema
  const missing = required.filter((name) => !Object.hasOwn(value as object, name)).map((name) => `${at}.${name} is missing`)
  const found = Object.entries(value as object).flatMap(([name, entry]: [string, unknown]): string[] => {
    const property = properties && Object.hasOwn(properties, name) ? properties[name] : typeof additionalProperties === 'object' ? additionalProperties : undefined
    if (property) return violations(property, entry, at === '' ? name : `${at}.${name}`)
    if (!properties || additionalProperties === true || unspecified.has(`${at}.${name}`)) return []
    return [`${at}.${name} is not in the specification`]
  })
  return [...missing, ...found]
}
