import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'

const dir = join(import.meta.dirname, '../../../foundation/oci/test/schemas')

/** The specification's schemas are of draft 4, whose `id`s Ajv 8 does not know; they refer to each other by file name. */
function withoutIds(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutIds)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).filter(([key, value]) => key !== '$schema' && !(key === 'id' && typeof value === 'string'))
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutIds(value)]))
}

const ajv = new Ajv({ strict: false, allErrors: true })
addFormats.default(ajv)
for (const file of readdirSync(dir).filter((name) => name.endsWith('.json'))) ajv.addSchema(withoutIds(JSON.parse(readFileSync(join(dir, file), 'utf8'))) as object, file)

/** A schema of the OCI image specification. */
export function ociSchema(name: 'manifest' | 'index' | 'config' | 'layout'): ValidateFunction {
  return ajv.getSchema(name === 'config' ? 'config-schema.json' : `image-${name}-schema.json`)!
}
