import { createServer, type Server, type Socket } from 'node:net'
import { decodeMultiStream, encode, ExtData, ExtensionCodec } from '@msgpack/msgpack'

export interface ReceivedEvent {
  tag: string
  time: unknown
  record: Record<string, string>
  hasChunk: boolean
}

const extensionCodec = new ExtensionCodec()
extensionCodec.register({ type: 0, encode: () => null, decode: (data) => new ExtData(0, data) })

/** Speaks the receiving side of the forward protocol over a Unix socket or TCP. It can be away, slow, and keep acknowledgements to itself. */
export class FluentdPeer implements AsyncDisposable {
  readonly events: ReceivedEvent[] = []
  connections = 0
  acknowledges = true
  isReading = true
  #server: Server | undefined
  readonly #sockets = new Set<Socket>()
  readonly #where: string | undefined
  port = 0

  constructor(path?: string) {
    this.#where = path
  }

  get logs(): string[] {
    return this.events.map(({ record }) => record['log']!)
  }

  async up(): Promise<void> {
    const server = createServer((socket) => void this.#serve(socket))
    this.#server = server
    await new Promise<void>((resolve) => (this.#where === undefined ? server.listen(this.port, '127.0.0.1', resolve) : server.listen(this.#where, resolve)))
    if (this.#where === undefined) this.port = (server.address() as { port: number }).port
  }

  async down(): Promise<void> {
    const closed = new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(undefined)))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Goes on reading. */
  read(): void {
    this.isReading = true
    for (const socket of this.#sockets) socket.resume()
  }

  async #serve(socket: Socket): Promise<void> {
    this.connections++
    this.#sockets.add(socket)
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    while (!this.isReading) await new Promise((resolve) => setTimeout(resolve, 5))
    try {
      for await (const message of decodeMultiStream(socket, { extensionCodec })) {
        const [tag, events, option] = message as [string, [unknown, Record<string, string>][], { chunk?: string; size: number }]
        if (option.size !== events.length) throw new Error(`size is ${option.size} with ${events.length} events`)
        for (const [time, record] of events) this.events.push({ tag, time, record, hasChunk: option.chunk !== undefined })
        if (option.chunk !== undefined && this.acknowledges) socket.write(encode({ ack: option.chunk }))
      }
    } catch {
      // Cut off in the middle of a message.
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down()
  }
}
