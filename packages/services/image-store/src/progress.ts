import type { CreateImageInfo } from '@berth/api-types'
import type { Descriptor } from '@berth/oci'

/** A line of a progress stream: Docker's jsonmessage. `stream` is a line to print as it is; `aux` carries the result of a push. */
export type ProgressMessage = CreateImageInfo & { stream?: string; aux?: PushResult | PushNote }

export interface PushResult {
  Tag: string
  Digest: string
  Size: number
}

/** Says that of an index that is not here whole, one platform's manifest was pushed. */
export interface PushNote {
  manifestPushedInsteadOfIndex: true
  originalIndex: Descriptor
  selectedManifest: Descriptor
}

const intervalMs = 100

/** Messages from the work that is under way to whoever reads them, at the reader's pace: a progress that was overtaken is not sent. */
export class Progress {
  #messages: ProgressMessage[] = []
  #isClosed = false
  #wake = Promise.withResolvers<void>()
  readonly #lastSent = new Map<string, number>()

  send(message: ProgressMessage): void {
    this.#messages.push(message)
    this.#wake.resolve()
  }

  status(id: string, status: string): void {
    this.send({ status, progressDetail: {}, id })
  }

  /** Bytes done of all; at most one message in 100 ms for an ID and status. */
  bytes(id: string, status: string, current: number, total: number): void {
    const key = `${status} ${id}`
    const now = performance.now()
    if (now - (this.#lastSent.get(key) ?? -Infinity) < intervalMs) return
    this.#lastSent.set(key, now)
    const message = { status, progressDetail: { current, total }, id }
    const overtaken = this.#messages.findIndex((waiting) => waiting.id === id && waiting.status === status)
    if (overtaken >= 0) this.#messages[overtaken] = message
    else this.send(message)
  }

  close(): void {
    this.#isClosed = true
    this.#wake.resolve()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ProgressMessage, void, undefined> {
    for (;;) {
      const messages = this.#messages
      this.#messages = []
      yield* messages
      if (this.#messages.length > 0) continue
      if (this.#isClosed) return
      await this.#wake.promise
      this.#wake = Promise.withResolvers<void>()
    }
  }
}

/** Runs work and hands out its messages; then throws what the work threw. A reader that goes away ends the work. */
export async function* withProgress(
  signal: AbortSignal,
  work: (progress: Progress, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<ProgressMessage, void, undefined> {
  const gone = new AbortController()
  const progress = new Progress()
  const done = work(progress, AbortSignal.any([signal, gone.signal])).finally(() => progress.close())
  done.catch(() => {})
  try {
    yield* progress
    await done
  } finally {
    gone.abort()
    await done.catch(() => {})
  }
}
