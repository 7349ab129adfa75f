import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'

const directory = join(import.meta.dirname, 'oci-schema')

/** The specification's schemas are of draft 4, whose `id`s Ajv 8 does not know; they refer to each other by file name. */
function withoutIds(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutIds)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).filter(([key, value]) => key !== '$schema' && !(key === 'id' && typeof value === 'string'))
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutIds(value)]))
}

const ajv = new Ajv({ strict: false, allErrors: true })
for (const file of readdirSync(directory).filter((name) => name.endsWith('.json'))) ajv.addSchema(withoutIds(JSON.parse(readFileSync(join(directory, file), 'utf8'))) as object, file)
const validate = ajv.getSchema('config-schema.json')!

/** What is wrong with a configuration for an OCI runtime, one line each. */
export function faultsOf(spec: unknown): string[] {
  // As the runtime reads it: without members that are undefined.
  if (validate(JSON.parse(JSON.stringify(spec)))) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}
