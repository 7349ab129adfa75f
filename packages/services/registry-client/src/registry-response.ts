import type { ClientRequest, IncomingMessage } from 'node:http'
import { BerthError } from '@berth/core'
import { connectionError } from './registry-error.ts'
import type { Silence } from './silence.ts'

export interface ResponseParts {
  url: URL
  request: ClientRequest
  message: IncomingMessage
  silence: Silence
  /** Whether who answered is of the open network. */
  isPublic: boolean
  /** Milliseconds. */
  idleTimeout: number
  signal: AbortSignal
}

/** An answer whose body is still to be read. Each is ended by one of `chunks`, `bytes` and `discard`. */
export class RegistryResponse {
  readonly status: number
  /** Where it came from, after redirects. */
  readonly url: URL
  /** Whether who answered is of the open network, not of this machine or a private one. */
  readonly isPublic: boolean
  readonly #parts: ResponseParts

  constructor(parts: ResponseParts) {
    this.#parts = parts
    this.url = parts.url
    this.isPublic = parts.isPublic
    this.status = parts.message.statusCode ?? 0
    parts.silence.within(parts.idleTimeout)
  }

  get isOk(): boolean {
    return this.status >= 200 && this.status < 300
  }

  header(name: string): string | undefined {
    const value = this.#parts.message.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** The body as it was sent. It may take as long as it likes while it does not stand still. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#read({ isPatient: true })
  }

  /**
   * The whole body of a document, which has to be there in the time that a transfer may stand still.
   * @throws `data-loss` if it is longer than `limit` bytes.
   */
  async bytes(limit: number): Promise<Buffer> {
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of this.#read({ isPatient: false })) {
      size += chunk.length
      if (size > limit) throw new BerthError('data-loss', 'REGISTRY_ANSWER_TOO_LONG', `the answer of the registry is longer than ${limit} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  /** Drops the body; a short one is read away, so that its connection can be used again. */
  discard(): void {
    const { message, request, silence } = this.#parts
    silence.end()
    message.on('error', () => {})
    if (request.writableFinished && Number(message.headers['content-length'] ?? Infinity) <= 64 << 10) message.resume()
    else if (request.method === 'HEAD') message.resume()
    else request.destroy()
  }

  async *#read({ isPatient }: { isPatient: boolean }): AsyncGenerator<Uint8Array, void, undefined> {
    const { message, request, silence, idleTimeout, signal } = this.#parts
    try {
      for await (const chunk of message as AsyncIterable<Uint8Array>) {
        // The time that our reader takes is not the sender's.
        if (isPatient) silence.end()
        yield chunk
        if (isPatient) silence.within(idleTimeout)
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw silence.signal.aborted ? silence.signal.reason : connectionError(request.method, this.url, error)
    } finally {
      silence.end()
      if (!request.writableFinished || !message.complete) request.destroy()
    }
  }
}
