import { openLibrary } from './libc.ts'

const library = 'libisal.so.2'

/** Size and offsets of `struct inflate_state` for 64-bit processors. @see isa-l/igzip_lib.h, the same through soname 2 */
const state = { size: 87368, nextOut: 0, availableOut: 8, nextIn: 16, availableIn: 32, blockState: 21160, crcFlag: 21172 } as const
const ISAL_GZIP = 1
const ISAL_BLOCK_FINISH = 5
const magic = 0x1f

const failures: Record<number, string> = {
  [-1]: 'invalid block',
  [-2]: 'invalid symbol',
  [-3]: 'invalid distance too far back',
  [-4]: 'incorrect header check',
  [-5]: 'unknown compression method',
  [-6]: 'incorrect data check',
}

/** A piece of memory that does not move, and where it is. */
interface Memory {
  bytes: Buffer
  address: bigint
}

let functions: ReturnType<typeof load> | undefined

/**
 * Inflates gzip with Intel's ISA-L, about three times as fast as zlib. It takes several members one after the other and checks each one's sum; what follows the last
 * and is no member is left alone, as Node's zlib does. Everything is synchronous. Throws errors with the code `Z_DATA_ERROR`, or the loader's where there is no ISA-L.
 * @see isal_inflate() in isa-l/igzip_lib.h
 */
export class GzipInflater {
  readonly #functions = (functions ??= load())
  readonly #state: Memory
  readonly #input: Memory
  readonly #output: Memory
  #phase: 'start' | 'member' | 'between' | 'trailing' = 'start'

  /** @param chunkSize Bytes of the pieces that come out, and of those that go in at a time. */
  constructor(chunkSize = 256 * 1024) {
    this.#state = this.#memory(state.size)
    this.#input = this.#memory(chunkSize)
    this.#output = this.#memory(chunkSize)
  }

  /** Whether this system has ISA-L. */
  static isAvailable(): boolean {
    try {
      functions ??= load()
      return true
    } catch {
      return false
    }
  }

  /** What comes of a piece. A piece that comes out is valid until the next is asked for. */
  *push(piece: Uint8Array): Generator<Buffer, void, undefined> {
    for (let offset = 0; offset < piece.length; offset += this.#input.bytes.length) {
      const part = piece.subarray(offset, offset + this.#input.bytes.length)
      this.#input.bytes.set(part)
      yield* this.#inflate(part.length)
    }
  }

  /** Says that there is no more. Throws if that is inside of a member, or before the first. */
  finish(): void {
    if (this.#phase === 'start' || this.#phase === 'member') throw failure('unexpected end of file', 'Z_BUF_ERROR')
  }

  *#inflate(length: number): Generator<Buffer, void, undefined> {
    const memory = this.#state.bytes
    for (let left = length; left > 0 && this.#phase !== 'trailing'; ) {
      if (this.#phase !== 'member' && !this.#begin(this.#input.bytes[length - left]!)) return
      memory.writeBigUInt64LE(this.#input.address + BigInt(length - left), state.nextIn)
      memory.writeUInt32LE(left, state.availableIn)
      for (let full = true; full && this.#phase === 'member'; ) {
        memory.writeBigUInt64LE(this.#output.address, state.nextOut)
        memory.writeUInt32LE(this.#output.bytes.length, state.availableOut)
        const result = Number(this.#functions.inflate(memory))
        if (result !== 0) throw failure(failures[result] ?? `failure ${result}`)
        const room = memory.readUInt32LE(state.availableOut)
        full = room === 0
        if (memory.readUInt32LE(state.blockState) === ISAL_BLOCK_FINISH) this.#phase = 'between'
        if (room < this.#output.bytes.length) yield this.#output.bytes.subarray(0, this.#output.bytes.length - room)
      }
      left = memory.readUInt32LE(state.availableIn)
      if (left > 0 && this.#phase === 'member') throw failure('no progress')
    }
  }

  /** Whether a member begins here. The first is taken on trust: ISA-L says what is wrong with it. */
  #begin(first: number): boolean {
    if (this.#phase === 'between' && first !== magic) {
      this.#phase = 'trailing'
      return false
    }
    this.#functions.init(this.#state.bytes)
    this.#state.bytes.writeUInt32LE(ISAL_GZIP, state.crcFlag)
    this.#phase = 'member'
    return true
  }

  #memory(size: number): Memory {
    const bytes = Buffer.alloc(size)
    return { bytes, address: this.#functions.addressOf(bytes) }
  }
}

function load() {
  const opened = openLibrary(library)
  const find = openLibrary(null).func('uintptr_t memchr(const void *bytes, int byte, size_t length)')
  return {
    init: opened.func('void isal_inflate_init(void *state)'),
    inflate: opened.func('int isal_inflate(void *state)'),
    /** Of memory that begins with NUL: finds it there. */
    addressOf: (bytes: Buffer) => BigInt(find(bytes, 0, 1) as number | bigint),
  }
}

function failure(message: string, code = 'Z_DATA_ERROR'): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code })
}
