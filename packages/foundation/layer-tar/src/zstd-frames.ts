import { createZstdDecompress, type ZlibOptions } from 'node:zlib'

/**
 * Node's decompressor of zstd for streams of several frames, which by itself passes over all after the first without a word. Layers are written so to be read in pieces
 * (zstd:chunked, where each file is a frame) and in parallel (pzstd). It is fed frame by frame; frames to be skipped are left out.
 * @see RFC 8878, section 3.1
 */
export function createZstdFramesDecompress(options: Pick<ZlibOptions, 'chunkSize'> = {}): ReturnType<typeof createZstdDecompress> {
  const stream = createZstdDecompress(options)
  const inflate = stream._transform.bind(stream)
  const frames = new ZstdFrames()
  stream._transform = (chunk: Buffer, encoding, callback) => {
    // An empty piece is how a flush is asked for.
    if (chunk.length === 0) return inflate(chunk, encoding, callback)
    const pieces = frames.split(chunk)
    const next = (error?: Error | null) => {
      const piece = error ? undefined : pieces.shift()
      if (piece) inflate(piece, encoding, next)
      else callback(error)
    }
    next()
  }
  return stream
}

type Step = 'magic' | 'skipped-size' | 'skipped' | 'descriptor' | 'header' | 'block-header' | 'block' | 'checksum' | 'unknown'

/** Bytes of each step that has a size of its own. */
const sizes: Partial<Record<Step, number>> = { magic: 4, 'skipped-size': 4, descriptor: 1, 'block-header': 3, checksum: 4 }
const contentSizes = [0, 2, 4, 8]
const dictionarySizes = [0, 1, 2, 4]

/** Where the frames of a stream begin and end. */
class ZstdFrames {
  #step: Step = 'magic'
  /** Bytes that the step still wants. */
  #left = 4
  /** The step's last bytes, little endian: all of those that mean something. */
  #value = 0
  #read = 0
  #hasChecksum = false
  #isLastBlock = false
  /** The beginning of a frame that is not known yet to be one. */
  #held = Buffer.alloc(0)

  /** Cuts a piece at the ends of frames, without what is to be skipped. */
  split(chunk: Buffer): Buffer[] {
    const pieces: Buffer[] = []
    let start = 0
    const cut = (end: number, isWanted: boolean) => {
      if (isWanted && end > start) pieces.push(chunk.subarray(start, end))
      start = end
    }
    for (let at = 0; at < chunk.length; ) {
      const step = this.#step
      if (step === 'unknown') break
      const taken = Math.min(this.#left, chunk.length - at)
      if (sizes[step] !== undefined) for (let index = 0; index < taken; index++) this.#value += chunk[at + index]! * 2 ** (8 * this.#read++)
      at += taken
      this.#left -= taken
      if (step === 'magic') {
        this.#held = Buffer.concat([this.#held, chunk.subarray(start, at)])
        start = at
      }
      if (this.#left > 0) break
      this.#advance()
      if (step === 'magic' && this.#step !== 'skipped-size') pieces.push(this.#held)
      if (step === 'magic') this.#held = Buffer.alloc(0)
      else if (this.#step === 'magic') cut(at, step !== 'skipped' && step !== 'skipped-size')
      else if (this.#step === 'skipped') cut(at, false)
    }
    cut(chunk.length, this.#step !== 'magic' && this.#step !== 'skipped-size' && this.#step !== 'skipped')
    return pieces
  }

  #advance(): void {
    const value = this.#value
    switch (this.#step) {
      case 'magic':
        if (value === 0xfd2fb528) return this.#enter('descriptor')
        return this.#enter(Math.floor(value / 16) === 0x184d2a5 ? 'skipped-size' : 'unknown')
      case 'skipped-size':
        return this.#enter(value > 0 ? 'skipped' : 'magic', value)
      case 'descriptor': {
        const isSingle = (value & 0x20) !== 0
        this.#hasChecksum = (value & 0x04) !== 0
        const size = (isSingle ? 0 : 1) + dictionarySizes[value & 3]! + (value >> 6 === 0 && isSingle ? 1 : contentSizes[value >> 6]!)
        return this.#enter('header', size)
      }
      case 'header':
        return this.#enter('block-header')
      case 'block-header': {
        this.#isLastBlock = (value & 1) === 1
        const isRepeated = ((value >> 1) & 3) === 1
        const size = isRepeated ? 1 : value >> 3
        return size > 0 ? this.#enter('block', size) : this.#afterBlock()
      }
      case 'block':
        return this.#afterBlock()
      default:
        return this.#enter('magic')
    }
  }

  #afterBlock(): void {
    if (!this.#isLastBlock) return this.#enter('block-header')
    this.#enter(this.#hasChecksum ? 'checksum' : 'magic')
  }

  /** @param size Bytes of a step that has none of its own. */
  #enter(step: Step, size = 0): void {
    this.#step = step
    this.#left = sizes[step] ?? size
    this.#value = 0
    this.#read = 0
  }
}
