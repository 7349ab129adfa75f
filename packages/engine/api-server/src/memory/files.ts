import { basename } from 'node:path'
import { BerthError } from '@berth/core'
import type { PathStat } from '../backend.ts'

/** The bit of Go's `os.FileMode` that says directory. */
const directoryBit = 0x8000_0000

/** Two blocks of zeros: a tar without entries. */
const emptyTar = Buffer.alloc(1024)

/** Directories of one container, each with the last archive that was sent to it. Nothing is unpacked. */
export class MemoryFiles {
  readonly #container: string
  readonly #archives = new Map<string, Buffer>([
    ['/', emptyTar],
    ['/tmp', emptyTar],
  ])
  readonly #written = new Set<string>()

  constructor(container: string) {
    this.#container = container
  }

  get changed(): string[] {
    return [...this.#written]
  }

  stat(path: string): PathStat {
    this.read(path)
    return { name: basename(path) || '/', size: 4096, mode: directoryBit + 0o755, mtime: '2024-01-02T03:04:05Z', linkTarget: '' }
  }

  read(path: string): Buffer {
    const archive = this.#archives.get(absolute(path))
    if (!archive) throw new BerthError('not-found', 'PATH_NOT_FOUND', `Could not find the file ${path} in container ${this.#container}`)
    return archive
  }

  async write(path: string, source: AsyncIterable<Uint8Array>): Promise<void> {
    this.read(path)
    const chunks: Uint8Array[] = []
    for await (const chunk of source) chunks.push(chunk)
    this.#archives.set(absolute(path), Buffer.concat(chunks))
    this.#written.add(absolute(path))
  }
}

const absolute = (path: string): string => `/${path.replace(/^\/+|\/\.?$/g, '')}`
