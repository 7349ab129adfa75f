import { BerthError } from '@berth/core'

/**
 * The part of the protobuf wire format that the task API needs: varints, strings, bytes and messages.
 * As proto3 has it, default values (0, empty, false, undefined) are not written.
 * @see https://protobuf.dev/programming-guides/encoding/
 */
export class ProtoWriter {
  readonly #parts: Buffer[] = []

  uint(field: number, value: number | boolean | undefined): this {
    if (value) this.#parts.push(varint(field << 3), varint(Number(value)))
    return this
  }

  text(field: number, value: string | undefined): this {
    return value ? this.bytes(field, Buffer.from(value)) : this
  }

  /** Also how a nested message is written; an empty one is kept, since its presence may mean something. */
  bytes(field: number, value: Buffer | undefined): this {
    if (value) this.#parts.push(varint((field << 3) | 2), varint(value.length), value)
    return this
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** The fields of one message by number; unknown ones are kept and do no harm. */
export class ProtoMessage {
  readonly #fields = new Map<number, (number | Buffer)[]>()

  /** Throws `data-loss` for what is not protobuf. */
  constructor(bytes: Buffer) {
    let offset = 0
    const readVarint = () => {
      let value = 0
      for (let shift = 0; shift < 70; shift += 7) {
        const byte = bytes[offset++]
        if (byte === undefined) throw malformed()
        // Multiplied, not shifted: 64-bit values must not wrap (beyond 2^53 they lose their low bits, which nothing here reads).
        value += (byte & 0x7f) * 2 ** shift
        if (byte < 0x80) return value
      }
      throw malformed()
    }
    const take = (length: number) => {
      if (offset + length > bytes.length) throw malformed()
      return bytes.subarray(offset, (offset += length))
    }
    const readValue = (wireType: number) => {
      if (wireType === 0) return readVarint()
      if (wireType === 2) return take(readVarint())
      if (wireType === 1) return take(8)
      return wireType === 5 ? take(4) : undefined
    }
    while (offset < bytes.length) {
      const tag = readVarint()
      const value = readValue(tag % 8)
      if (value === undefined) throw malformed()
      const field = Math.floor(tag / 8)
      const values = this.#fields.get(field)
      if (values) values.push(value)
      else this.#fields.set(field, [value])
    }
  }

  uint(field: number): number {
    const value = this.#fields.get(field)?.at(-1)
    return typeof value === 'number' ? value : 0
  }

  bytes(field: number): Buffer {
    const value = this.#fields.get(field)?.at(-1)
    return Buffer.isBuffer(value) ? value : Buffer.alloc(0)
  }

  text(field: number): string {
    return this.bytes(field).toString()
  }

  message(field: number): ProtoMessage {
    return new ProtoMessage(this.bytes(field))
  }

  messages(field: number): ProtoMessage[] {
    return (this.#fields.get(field) ?? []).filter(Buffer.isBuffer).map((bytes) => new ProtoMessage(bytes))
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80)
  bytes.push(value)
  return Buffer.from(bytes)
}

const malformed = () => new BerthError('data-loss', 'PROTOBUF_MALFORMED', 'malformed protobuf message')
