/** The part of JSON Schema, as Swagger 2 has it, that the specification of the Engine API uses. */
export interface Schema {
  $ref?: string | undefined
  type?: string | undefined
  format?: string | undefined
  title?: string
  enum?: unknown[]
  required?: string[]
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: Schema | boolean
  allOf?: Schema[]
  'x-nullable'?: boolean
}
