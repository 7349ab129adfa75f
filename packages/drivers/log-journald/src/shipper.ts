import { randomBytes } from 'node:crypto'
import { isErrno, formatNano } from '@berth/core'
import { UnixDatagrams } from '@berth/linux'
import { attributesOf, type LoggedContainer, tagOf } from '@berth/log-driver'
import type { ShippedEntry, Shipper } from '@berth/log-driver/shipping'
import { encodeFields, type Field, fieldName } from './fields.ts'

/** As in syslog(3). */
const [informational, errorPriority] = ['6', '3']
/** The longest name of a field that journald takes, and what does not begin with a digit. */
const isTaken = (name: string): boolean => /^[A-Z][A-Z0-9_]{0,63}$/.test(name)

export class JournaldShipper implements Shipper {
  readonly #path: string
  readonly #own: readonly Field[]
  readonly #attributes: readonly Field[]
  #socket: UnixDatagrams | undefined
  /** Of the entries since this shipper began, whose ID is the epoch: two entries with the same both are one that was sent twice. */
  #ordinal = 0

  constructor(container: LoggedContainer, options: Readonly<Record<string, string>>, path: string) {
    this.#path = path
    const tag = tagOf(container, options, '{{.ID}}')
    this.#own = [
      ['CONTAINER_ID', container.id.slice(0, 12)],
      ['CONTAINER_ID_FULL', container.id],
      ['CONTAINER_NAME', container.name.replace(/^\//, '')],
      ['CONTAINER_TAG', tag],
      ['IMAGE_NAME', container.imageName],
      ['SYSLOG_IDENTIFIER', tag],
      ['CONTAINER_LOG_EPOCH', randomBytes(16).toString('hex')],
    ]
    const taken = new Set(['MESSAGE', 'PRIORITY', 'SYSLOG_TIMESTAMP', ...this.#own.map(([name]) => name)])
    const { tag: _tag, ...attributes } = attributesOf(container, options)
    this.#attributes = Object.entries(attributes).flatMap(([name, value]): Field[] => {
      const field = fieldName(name)
      // What tells whose output it is cannot be replaced by a label.
      return isTaken(field) && !taken.has(field) && !field.startsWith('CONTAINER_PARTIAL_') ? [[field, value]] : []
    })
  }

  async send(entries: readonly ShippedEntry[], signal: AbortSignal): Promise<void> {
    this.#socket ??= UnixDatagrams.connect(this.#path)
    try {
      for (const entry of entries) {
        const fields = this.#fieldsOf(entry)
        try {
          await this.#socket.send(encodeFields([...fields, ...this.#attributes]), signal)
        } catch (error) {
          // Labels may be longer than a datagram can be; the output itself never is.
          if (!isErrno(error, 'EMSGSIZE') || this.#attributes.length === 0) throw error
          await this.#socket.send(encodeFields(fields), signal)
        }
      }
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    this.#socket?.[Symbol.dispose]()
    this.#socket = undefined
  }

  #fieldsOf({ stream, time, text, partial }: ShippedEntry): Field[] {
    const fields: Field[] = [
      ['PRIORITY', stream === 'stderr' ? errorPriority : informational],
      ['MESSAGE', text],
      ['SYSLOG_TIMESTAMP', formatNano(time)],
      ...this.#own,
      ['CONTAINER_LOG_ORDINAL', String(++this.#ordinal)],
    ]
    if (!partial) return fields
    fields.push(['CONTAINER_PARTIAL_ID', partial.id], ['CONTAINER_PARTIAL_ORDINAL', String(partial.ordinal)], ['CONTAINER_PARTIAL_LAST', String(partial.last)])
    if (!partial.last) fields.push(['CONTAINER_PARTIAL_MESSAGE', 'true'])
    return fields
  }
}
