import { type Socket, connect as connectPlain, type NetConnectOpts } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { BerthError, messageOf } from '@berth/core'

/** A peer that is reached by a stream: over TCP, TLS on it, or a Unix socket. */
export type StreamAddress = { path: string } | { host: string; port: number; tls?: ConnectionOptions }

const connectTimeout = 10_000

const reasons: Record<string, string> = {
  ECONNREFUSED: 'connect: connection refused',
  ENOENT: 'connect: no such file or directory',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
}

/** Connects. Throws `unavailable`, with the text that Docker's drivers have (`dial tcp 127.0.0.1:514: connect: connection refused`). */
export async function dial(address: StreamAddress, signal?: AbortSignal): Promise<Socket> {
  const isTls = 'host' in address && address.tls !== undefined
  const where: NetConnectOpts = 'path' in address ? { path: address.path } : { host: address.host, port: address.port, keepAlive: true, keepAliveInitialDelay: 15_000 }
  const socket = isTls ? connectTls({ ...where, ...address.tls }) : connectPlain(where)
  const timer = setTimeout(() => socket.destroy(Object.assign(new Error('i/o timeout'), { code: 'ETIMEDOUT' })), connectTimeout)
  const abort = (): void => void socket.destroy(new Error('the connection was given up'))
  signal?.addEventListener('abort', abort)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? 'secureConnect' : 'connect', resolve)
      socket.once('error', reject)
    })
    return socket
  } catch (cause) {
    socket.destroy()
    const code = (cause as NodeJS.ErrnoException).code ?? ''
    const [network, name] = 'path' in address ? ['unix', address.path] : ['tcp', address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`]
    const reason = code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? `lookup ${name}: no such host` : (reasons[code] ?? messageOf(cause))
    throw new BerthError('unavailable', 'LOG_PEER_AWAY', `dial ${network} ${name}: ${reason}`, { cause })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

export interface PeerStreamOptions {
  address: StreamAddress
  /** The peer went away. What was written lately may not have reached it. */
  onLost?: (() => void) | undefined
  /** What the peer says. */
  onData?: ((chunk: Buffer) => void) | undefined
  /** Milliseconds that the peer may leave unread what is written; without end unless given. */
  writeTimeout?: number | undefined
}

/** A stream to a peer that is opened when there is something to write, and again after it broke. One write at a time. */
export class PeerStream {
  readonly #options: PeerStreamOptions
  #socket: Socket | undefined
  #connectedAt = 0

  constructor(options: PeerStreamOptions) {
    this.#options = options
  }

  /** Milliseconds since it connected; 0 when it is not connected. */
  get age(): number {
    return this.#socket ? performance.now() - this.#connectedAt : 0
  }

  /** Settles when the kernel has all of it. Fails with `unavailable` when the peer cannot be reached or goes away. */
  async write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const socket = (this.#socket ??= await this.#connect(signal))
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        // A socket that is destroyed calls back all its writes with an error.
        socket.write(bytes, (error) => (error ? reject(error) : resolve()))
        const { writeTimeout } = this.#options
        if (writeTimeout) timer = setTimeout(() => socket.destroy(new Error('i/o timeout')), writeTimeout)
        signal.addEventListener('abort', this.#abort)
      })
    } catch (cause) {
      this.close()
      throw new BerthError('unavailable', 'LOG_PEER_AWAY', `write: ${messageOf(cause)}`, { cause })
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', this.#abort)
    }
  }

  close(): void {
    const socket = this.#socket
    this.#socket = undefined
    if (!socket) return
    if (socket.writableLength > 0) socket.destroy()
    else socket.destroySoon()
  }

  readonly #abort = (): void => void this.#socket?.destroy()

  async #connect(signal: AbortSignal): Promise<Socket> {
    const socket = await dial(this.#options.address, signal)
    this.#connectedAt = performance.now()
    const { onData, onLost } = this.#options
    if (onData) socket.on('data', onData)
    // Else nothing reads, and the end of the peer is not seen.
    else socket.resume()
    const lost = (): void => {
      if (this.#socket !== socket) return
      this.#socket = undefined
      socket.destroy()
      onLost?.()
    }
    socket.on('end', lost)
    socket.on('close', lost)
    socket.on('error', () => {})
    return socket
  }
}
