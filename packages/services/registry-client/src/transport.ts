import { BerthError } from '@berth/core'
import { withoutSecrets } from './registry-error.ts'

export interface TransportOptions {
  userAgent: string
  /** Milliseconds until a registry must have begun to answer. */
  answerTimeout: number
  /** Milliseconds that a body may pause. */
  idleTimeout: number
}

export interface SendOptions {
  method: string
  headers?: Record<string, string> | undefined
  body?: BodyInit | AsyncIterable<Uint8Array> | undefined
  signal: AbortSignal
}

const maxRedirects = 5

/** HTTP requests that follow redirects without taking credentials along, and that end when the other side falls silent. */
export class Transport {
  readonly #options: TransportOptions

  constructor(options: TransportOptions) {
    this.#options = options
  }

  async send(url: string, { method, headers = {}, body, signal }: SendOptions): Promise<Response> {
    let target = url
    const sent: Record<string, string> = { 'User-Agent': this.#options.userAgent, ...headers }
    for (let redirects = 0; ; redirects++) {
      const response = await this.#fetch(target, { method, headers: sent, body, signal })
      const location = response.headers.get('location')
      if (![301, 302, 303, 307, 308].includes(response.status) || !location || (method !== 'GET' && method !== 'HEAD')) return response
      await response.body?.cancel()
      const next = URL.parse(location, target)
      if (redirects >= maxRedirects || !next) throw new BerthError('unavailable', 'REGISTRY_REDIRECT', `${withoutSecrets(url)} redirects ${next ? 'too often' : 'to nowhere'}`)
      if (next.protocol !== 'https:' && !(next.protocol === 'http:' && target.startsWith('http:'))) {
        throw new BerthError('permission-denied', 'REGISTRY_REDIRECT', `${withoutSecrets(url)} redirects to an unencrypted or unknown address`)
      }
      // What proves who we are is for the host it was meant for.
      if (next.origin !== new URL(target).origin) delete sent['Authorization']
      target = String(next)
    }
  }

  async #fetch(url: string, { method, headers, body, signal }: SendOptions): Promise<Response> {
    const silence = new AbortController()
    const late = (): void => silence.abort(new BerthError('deadline-exceeded', 'REGISTRY_TIMEOUT', `${withoutSecrets(url)}: the registry does not answer`))
    let timer = setTimeout(late, this.#options.answerTimeout)
    const restart = (milliseconds: number): void => {
      clearTimeout(timer)
      timer = setTimeout(late, milliseconds)
    }
    const { idleTimeout, answerTimeout } = this.#options
    // While we send, the other side has no reason to speak.
    const upload = body !== undefined && Symbol.asyncIterator in Object(body) && !(body instanceof ReadableStream) ? watched(body as AsyncIterable<Uint8Array>, () => restart(answerTimeout)) : body
    let response: Response
    try {
      response = await fetch(url, {
        method, headers, redirect: 'manual', signal: AbortSignal.any([signal, silence.signal]),
        ...(upload === undefined ? {} : { body: upload as BodyInit, duplex: 'half' }),
      } as RequestInit) // prettier-ignore
    } catch (error) {
      clearTimeout(timer)
      throw silence.signal.aborted && !signal.aborted ? silence.signal.reason : error
    }
    if (!response.body) {
      clearTimeout(timer)
      return response
    }
    restart(idleTimeout)
    const stop = (): void => clearTimeout(timer)
    const source = response.body
    const stream = ReadableStream.from(
      (async function* () {
        try {
          for await (const chunk of source) {
            restart(idleTimeout)
            yield chunk
            restart(idleTimeout)
          }
        } catch (error) {
          throw silence.signal.aborted && !signal.aborted ? silence.signal.reason : error
        } finally {
          stop()
        }
      })(),
    )
    return withBody(response, stream, stop)
  }
}

async function* watched(source: AsyncIterable<Uint8Array>, onChunk: () => void): AsyncIterable<Uint8Array> {
  for await (const chunk of source) {
    onChunk()
    yield chunk
  }
}

/** The same answer with another body; whoever drops the body stops the clock with it. */
function withBody(response: Response, stream: ReadableStream<Uint8Array>, stop: () => void): Response {
  const cancel = stream.cancel.bind(stream)
  stream.cancel = (reason) => {
    stop()
    return cancel(reason)
  }
  return new Response(response.status === 204 || response.status === 304 ? null : stream, { status: response.status, headers: response.headers })
}
