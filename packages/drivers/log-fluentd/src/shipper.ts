import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { attributesOf, type LoggedContainer, tagOf } from '@berth/log-driver'
import { PeerStream, type ShippedEntry, type Shipper } from '@berth/log-driver/shipping'
import { Acknowledgements } from './acknowledgements.ts'
import { encodeForward, type FluentRecord } from './forward.ts'
import type { FluentdOptions } from './options.ts'

/** As fluentd's own client waits: half as long again each time, up to a minute. */
const [growth, longestWait] = [1.5, 60_000]
const defaultAckTimeout = 60_000

export class FluentdShipper implements Shipper {
  readonly #options: FluentdOptions
  readonly #tag: string
  readonly #fields: FluentRecord
  readonly #attributes: FluentRecord
  readonly #acknowledgements = new Acknowledgements()
  readonly #stream: PeerStream

  constructor(container: LoggedContainer, given: Readonly<Record<string, string>>, options: FluentdOptions, onLost: () => void) {
    this.#options = options
    this.#tag = tagOf(container, given, '{{.ID}}')
    this.#fields = { container_id: container.id, container_name: `/${container.name.replace(/^\//, '')}` }
    const { tag: _tag, ...attributes } = attributesOf(container, given)
    this.#attributes = attributes
    this.#stream = new PeerStream({
      address: options.address,
      onData: this.#acknowledgements.take,
      onLost: () => {
        this.#acknowledgements.fail(new Error('the peer closed the connection'))
        onLost()
      },
      writeTimeout: options.writeTimeout,
    })
  }

  async send(entries: readonly ShippedEntry[], signal: AbortSignal): Promise<void> {
    const { reconnectInterval, requestAck, subSecondPrecision } = this.#options
    if (reconnectInterval > 0 && this.#stream.age > reconnectInterval) this.#stream.close()
    const chunk = requestAck ? randomBytes(16).toString('base64') : undefined
    const acknowledged = chunk === undefined ? undefined : this.#acknowledgements.of(chunk)
    // Its failure is told below.
    acknowledged?.catch(() => {})
    const events = entries.map((entry): [bigint, FluentRecord] => [entry.time, this.#recordOf(entry)])
    await this.#stream.write(encodeForward(this.#tag, events, { chunk, subSecond: subSecondPrecision }), signal)
    if (acknowledged) await this.#inTime(acknowledged, signal)
  }

  retryDelay(failures: number): number | 'give-up' {
    const { retryWait, maxRetries } = this.#options
    if (failures > maxRetries) return 'give-up'
    return Math.min(longestWait, retryWait * growth ** (Math.min(failures, 40) - 1))
  }

  close(): void {
    this.#stream.close()
    this.#acknowledgements.fail(new Error('the connection was closed'))
  }

  async #inTime(acknowledged: Promise<void>, signal: AbortSignal): Promise<void> {
    const timeout = this.#options.readTimeout || defaultAckTimeout
    const { promise, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error('the peer did not acknowledge in time')), timeout)
    const abort = (): void => reject(new Error('the sending was given up'))
    signal.addEventListener('abort', abort)
    try {
      await Promise.race([acknowledged, promise])
    } catch (error) {
      // An acknowledgement that comes late is of another connection then.
      this.#stream.close()
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  }

  #recordOf({ stream, text, partial }: ShippedEntry): FluentRecord {
    return {
      ...this.#attributes,
      ...this.#fields,
      source: stream,
      // A string that is not UTF-8 would be none to its readers.
      log: isUtf8(text) ? Buffer.from(text).toString() : text,
      ...(partial && { partial_message: 'true', partial_id: partial.id, partial_ordinal: String(partial.ordinal), partial_last: String(partial.last) }),
    }
  }
}
