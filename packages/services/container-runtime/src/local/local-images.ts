import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BerthError } from '@berth/core'
import { LayerWorkers } from '@berth/layer-tar'
import type { ImageConfig } from '@berth/oci'
import { type ImageSource, openArchive, openLayout, resolveImage } from '@berth/oci-image'
import type { ContainerImage, ContainerImages } from '../dependencies.ts'

/**
 * Images by their path: an archive (`docker save`, OCI), a directory that is an OCI layout, or any other directory, which is a root file system as it is. Layers are
 * unpacked on top of each other, once, into a directory of this object's own.
 */
export class LocalImages implements ContainerImages, AsyncDisposable {
  readonly #directory: string
  readonly #workers = new LayerWorkers()
  /** Directory of the files, by chain ID. */
  readonly #roots = new Map<string, string>()

  constructor(directory: string) {
    this.#directory = directory
  }

  async resolve(ref: string): Promise<ContainerImage> {
    const path = resolve(ref)
    const stat = statSync(path, { throwIfNoEntry: false })
    if (!stat) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${ref}`)
    if (stat.isDirectory() && !existsSync(join(path, 'oci-layout'))) return this.#directoryImage(path)
    await using source = stat.isDirectory() ? await openLayout(path) : await openArchive(path)
    // Awaited here, while the source is open.
    return await this.#unpack(source, ref)
  }

  /** Where the files of a chain of layers are. Throws `not-found` for one that was not resolved. */
  rootOf(chainId: string): string {
    const root = this.#roots.get(chainId)
    if (root === undefined) throw new BerthError('not-found', 'SNAPSHOT_NOT_FOUND', `snapshot ${chainId}: not found`)
    return root
  }

  async commit(): Promise<never> {
    throw new BerthError('not-implemented', 'COMMIT_MISSING', 'images cannot be made of containers here')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workers[Symbol.asyncDispose]()
  }

  #directoryImage(path: string): ContainerImage {
    const id = `sha256:${createHash('sha256').update(path).digest('hex')}`
    this.#roots.set(id, path)
    const config: ImageConfig = { architecture: process.arch, os: 'linux', rootfs: { type: 'layers', diff_ids: [] } }
    return { id, chainId: id, config }
  }

  async #unpack(source: ImageSource, ref: string): Promise<ContainerImage> {
    const [root] = await source.roots()
    if (!root) throw new BerthError('not-found', 'IMAGE_NOT_FOUND', `No such image: ${ref} holds none`)
    const image = await resolveImage(source, root.descriptor)
    const id = await image.id()
    const config = await image.config()
    if (this.#roots.has(id)) return { id, chainId: id, config }
    const directory = join(this.#directory, id.replace(':', '-'))
    const file = `${directory}.tar`
    mkdirSync(directory, { recursive: true, mode: 0o755 })
    for (const layer of await image.layers()) {
      await pipeline(Readable.from(layer.uncompressed()), createWriteStream(file, { mode: 0o600 }))
      await this.#workers.apply({ path: file, compression: 'none', root: directory, whiteouts: 'plain' })
    }
    rmSync(file, { force: true })
    this.#roots.set(id, directory)
    return { id, chainId: id, config }
  }
}
