import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Schema } from '../src/schema.ts'

// Turns the structure of the Engine API (spec/) into TypeScript types, and into the tables that requests are checked by.

interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  type: string
  required?: boolean
}

interface Operation {
  id: string
  method: string
  path: string
  parameters?: Parameter[]
  body?: Schema
  responses: Record<string, Schema | null>
}

interface Spec {
  version: string
  definitions: Record<string, Schema>
  operations: Operation[]
}

const root = join(import.meta.dirname, '..')
const spec = JSON.parse(readFileSync(join(root, 'spec/engine-api-v1.51.json'), 'utf8')) as Spec

// What the specification tells in prose alone: tokens in place of a password, and `user:password` in base64, as clients' configuration has it.
Object.assign(spec.definitions['AuthConfig']?.properties ?? {}, { auth: { type: 'string' }, identitytoken: { type: 'string' }, registrytoken: { type: 'string' } })

/** Requests and responses that the specification describes in place, under the name they carry there or one after their operation. */
const names: Record<string, string> = { ContainerCreate: 'ContainerCreateRequest', ContainerUpdate: 'ContainerUpdateRequest', ExecInspect: 'ExecInspectResponse' }
const definitions: Record<string, Schema> = { ...spec.definitions }
const requests: Record<string, string> = {}
const reference = (name: string): Schema => ({ $ref: `#/definitions/${name}` })

function place(schema: Schema, fallback: string): Schema {
  if (schema.$ref || schema.type === 'string') return schema
  if (schema.type === 'array') return schema.items && !schema.items.$ref && schema.items.type === 'object' ? { ...schema, items: place(schema.items, schema.items.title ?? `${fallback}Item`) } : schema
  const name = schema.title ?? fallback
  definitions[name] ??= schema
  return reference(name)
}

for (const { id, body, responses } of spec.operations) {
  if (body && !(body.type === 'string')) {
    const placed = place(body, names[id] ?? `${id}Request`)
    if (placed.$ref) requests[id] = placed.$ref.split('/').at(-1) ?? ''
  }
  for (const [status, schema] of Object.entries(responses)) if (schema && status.startsWith('2')) place(schema, names[id] ?? `${id}Response`)
}

const typeName = (name: string): string => name.replace(/[^A-Za-z0-9]/g, '')
const key = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name))

function typeOf(schema: Schema, indent: string): string {
  const nullable = schema['x-nullable'] ? ' | null' : ''
  if (schema.$ref) return typeName(schema.$ref.split('/').at(-1) ?? '') + nullable
  if (schema.allOf) return schema.allOf.map((part) => typeOf(part, indent)).join(' & ') + nullable
  if (schema.enum?.length) return `(${schema.enum.map((value) => JSON.stringify(value)).join(' | ')})${nullable}`
  switch (schema.type) {
    case 'string':
      return `string${nullable}`
    case 'integer':
    case 'number':
      return `number${nullable}`
    case 'boolean':
      return `boolean${nullable}`
    case 'array':
      return `${schema.items ? wrapped(typeOf(schema.items, indent)) : 'unknown'}[]${nullable}`
    default: {
      const own = schema.properties ? members(schema, indent) : undefined
      const rest = schema.additionalProperties
      const map = rest && rest !== true ? `Record<string, ${typeOf(rest, indent)}>` : rest ? 'Record<string, unknown>' : undefined
      return (own && map ? `${own} & ${map}` : (own ?? map ?? 'Record<string, unknown>')) + nullable
    }
  }
}

const wrapped = (type: string): string => (/[|&]/.test(type) && !type.startsWith('(') && !type.startsWith('{') ? `(${type})` : type.startsWith('{') && /\} [|&]/.test(type) ? `(${type})` : type)

function members(schema: Schema, indent: string): string {
  const inner = `${indent}  `
  const lines = Object.entries(schema.properties ?? {}).map(([name, property]) => `${inner}${key(name)}${schema.required?.includes(name) ? '' : '?'}: ${typeOf(property, inner)}`)
  return lines.length === 0 ? 'Record<string, never>' : `{\n${lines.join('\n')}\n${indent}}`
}

const types = Object.entries(definitions)
  .toSorted(([a], [b]) => a.localeCompare(b))
  .map(([name, schema]) => `export type ${typeName(name)} = ${typeOf(schema, '')}`)

// --- tables for checking -------------------------------------------------------------------------------------------------------------------

const needed = new Set<string>()
function collect(schema: Schema | undefined): void {
  if (!schema) return
  if (schema.$ref) {
    const name = schema.$ref.split('/').at(-1) ?? ''
    if (needed.has(name)) return
    needed.add(name)
    collect(definitions[name])
  }
  for (const part of schema.allOf ?? []) collect(part)
  for (const property of Object.values(schema.properties ?? {})) collect(property)
  collect(schema.items)
  if (typeof schema.additionalProperties === 'object') collect(schema.additionalProperties)
}
for (const name of Object.values(requests)) collect(reference(name))

/** Only what a check looks at. */
function slim(schema: Schema): Schema {
  const { $ref, type, format, properties, items, additionalProperties, allOf } = schema
  return {
    ...($ref ? { $ref: $ref.split('/').at(-1) } : {}),
    ...(type && !$ref ? { type } : {}),
    ...(type === 'integer' && format ? { format } : {}),
    ...(properties ? { properties: Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, slim(property)])) } : {}),
    ...(items ? { items: slim(items) } : {}),
    ...(typeof additionalProperties === 'object' ? { additionalProperties: slim(additionalProperties) } : {}),
    ...(allOf ? { allOf: allOf.map(slim) } : {}),
  }
}

const schemas = Object.fromEntries([...needed].toSorted().map((name) => [name, slim(definitions[name] ?? {})]))
const operations = spec.operations.map(({ id, method, path }) => ({ id, method, path }))
const out = join(root, 'src/generated')
mkdirSync(out, { recursive: true })
writeFileSync(join(out, 'types.ts'), `${types.join('\n\n')}\n`)
writeFileSync(
  join(out, 'requests.ts'),
  `import type { Schema } from '../schema.ts'\nimport type * as types from './types.ts'\n
export interface RequestTypes {\n${[...new Set(Object.values(requests))].toSorted().map((name) => `  ${name}: types.${typeName(name)}`).join('\n')}\n}\n
export const schemas: Record<string, Schema> = JSON.parse(${JSON.stringify(JSON.stringify(schemas))})\n`,
)
writeFileSync(join(out, 'operations.ts'), `export const operations: readonly { id: string; method: string; path: string }[] = JSON.parse(${JSON.stringify(JSON.stringify(operations))})\n`)
