import type { ImageStore } from '@berth/image-store'
import { type Logger, messageOf } from '@berth/core'

/** Milliseconds that removals may follow each other and be collected for together. */
const gatherFor = 1000

/** Removes the layers of images that were removed while containers stood on them, some time after such a container is gone. */
export class OrphanCollector implements AsyncDisposable {
  readonly #images: Pick<ImageStore, 'collect'>
  readonly #logger: Logger
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  constructor({ images, logger }: { images: Pick<ImageStore, 'collect'>; logger: Logger }) {
    this.#images = images
    this.#logger = logger
  }

  schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#running = this.#running.then(() => this.#collect())
    }, gatherFor).unref()
  }

  async #collect(): Promise<void> {
    try {
      await this.#images.collect()
    } catch (error) {
      this.#logger.warn('layers that nothing needs could not be removed', { error: messageOf(error) })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer)
    await this.#running
  }
}
