import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { Duplex } from 'node:stream'
import { BerthError } from '@berth/core'
import type { WebSocket as Connection } from 'ws'

/** The longest message that a client may send, in all its fragments, in bytes. */
const maxMessage = 1 << 20
/** How long the process may take to read what a client sent before it left, in milliseconds. */
const lastInputTime = 10_000
/** @see RFC 6455, 7.4.1 */
const [normal, internalError] = [1000, 1011]
/** Of a closing frame, in bytes. @see RFC 6455, 5.5 */
const maxReason = 123

/**
 * Throws `permission-denied` for a page of another site: a browser sends what its user may do along with any page's request (cross-site WebSocket
 * hijacking), so a page has to come from this server; and a name that only resolves to it does not count (DNS rebinding). Programs send no `Origin`.
 */
export function checkOrigin({ headers, socket }: IncomingMessage): void {
  // No browser reaches a unix socket.
  if (headers.origin === undefined || socket.remoteAddress === undefined) return
  const { host = '' } = headers
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1').toLowerCase()
  const isOwn = URL.parse(headers.origin)?.host === host.toLowerCase()
  if (isOwn && (isIP(name) !== 0 || name === 'localhost' || name === hostname().toLowerCase())) return
  throw new BerthError('permission-denied', 'ORIGIN_FORBIDDEN', 'a page of another site may not attach')
}

/** Throws `invalid-argument` for a request that is no opening handshake. @see RFC 6455, 4.2.1 */
export function checkHandshake({ headers }: IncomingMessage): void {
  const key = headers['sec-websocket-key'] ?? ''
  if (headers.upgrade?.toLowerCase() !== 'websocket' || !/^[+/0-9A-Za-z]{22}==$/.test(key)) throw new BerthError('invalid-argument', 'WEBSOCKET_REQUIRED', 'bad request: a WebSocket handshake is needed')
  if (headers['sec-websocket-version'] !== '13') throw new BerthError('invalid-argument', 'WEBSOCKET_VERSION', 'bad request: the WebSocket version must be 13')
}

/** A connection whose bytes are the messages of a WebSocket. Destroyed with an error, it tells it to the client. */
export class WebSocketStream extends Duplex {
  readonly #socket: Connection
  readonly #isBinary: boolean

  private constructor(socket: Connection, isBinary: boolean) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    this.#isBinary = isBinary
    socket.on('message', (data: Buffer) => {
      if (!this.push(data)) socket.pause()
    })
    socket.on('error', () => {}) // the close that follows tells it
    socket.on('close', () => {
      this.push(null)
      this.once('end', () => this.destroy())
      const late = setTimeout(() => this.destroy(), lastInputTime).unref()
      this.once('close', () => clearTimeout(late))
    })
    this.on('error', () => {})
  }

  /** Completes the handshake of a checked request. */
  static async accept(request: IncomingMessage, socket: Duplex, head: Buffer, { isBinary }: { isBinary: boolean }): Promise<WebSocketStream> {
    // Few need it, and it takes memory.
    const { WebSocketServer } = await import('ws')
    const server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload: maxMessage })
    return new Promise((resolve, reject) => {
      socket.once('close', () => reject(new BerthError('cancelled', 'CLIENT_GONE', 'the client is gone')))
      server.handleUpgrade(request, socket, head, (connection: Connection) => resolve(new WebSocketStream(connection, isBinary)))
    })
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    // What finds nobody any more goes nowhere, as on a closed connection.
    this.#socket.send(chunk, { binary: this.#isBinary }, () => callback())
  }

  override _final(callback: () => void): void {
    this.#socket.close(normal)
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (error) this.#socket.close(internalError, Buffer.from(error.message).subarray(0, maxReason))
    else if (!this.writableFinished) this.#socket.terminate()
    callback(error)
  }
}
