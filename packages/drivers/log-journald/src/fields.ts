/** A field's name and value. */
export type Field = readonly [name: string, value: string | Uint8Array]

const newline = Buffer.from('\n')

/**
 * An entry in journald's native protocol. Every value is written with its length, so that none can pass for another field, whatever bytes it has.
 * @see https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
 */
export function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => {
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(BigInt(bytes.length))
      return [Buffer.from(`${name}\n`), length, bytes, newline]
    }),
  )
}

/**
 * The name of a label or variable as a field, as Docker makes it: upper case, what is not a letter or digit becomes `_`, and none at the beginning,
 * where it means that journald itself vouches for the value. Empty when nothing is left.
 */
export function fieldName(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/gu, '_').replace(/^_+/, '')
}
