import { type LoggedContainer, tagOf } from '@berth/log-driver'
import type { ShippedEntry, Shipper } from '@berth/log-driver/shipping'
import type { Connection } from './connection.ts'
import { messageOf } from './message.ts'
import type { SyslogOptions } from './options.ts'

export class SyslogShipper implements Shipper {
  readonly #options: SyslogOptions
  readonly #connection: Connection
  readonly #tag: string

  constructor(container: LoggedContainer, given: Readonly<Record<string, string>>, options: SyslogOptions, connection: Connection) {
    this.#options = options
    this.#connection = connection
    this.#tag = tagOf(container, given, '{{.ID}}')
  }

  async send(entries: readonly ShippedEntry[], signal: AbortSignal): Promise<void> {
    // As Docker does, empty lines are left out.
    const messages = entries.filter(({ text }) => text.length > 0).map((entry) => messageOf(entry, this.#tag, this.#options))
    if (messages.length > 0) await this.#connection.send(messages, signal)
  }

  close(): void {
    this.#connection.close()
  }
}
