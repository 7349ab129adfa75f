import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { statSync } from 'node:fs'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { UnixDatagrams } from '@berth/linux'
import { dial, PeerStream, type StreamAddress } from '@berth/log-driver/shipping'
import { type SyslogAddress, type SyslogOptions, tlsOptions } from './options.ts'

/** The way to a receiver. */
export interface Connection {
  /** Settles when the kernel has all messages. */
  send(messages: readonly Buffer[], signal: AbortSignal): Promise<void>
  close(): void
}

/** Where a machine's own syslog listens. */
const localPaths = ['/dev/log', '/var/run/syslog', '/var/run/log']

/** Connects at the first message, and again when it has to. */
export function connectionOf(options: SyslogOptions, onLost: () => void): Connection {
  const { address } = options
  if (!address) return localConnection(onLost)
  if (address.protocol === 'udp') return new UdpConnection(address)
  if (address.protocol === 'unixgram') return new UnixDatagramConnection(address.path)
  return new StreamConnection(streamAddress(options, address), isCounted(options), onLost)
}

/** Throws `unavailable` when there is no receiver; over UDP nobody can tell. */
export async function reachable(options: SyslogOptions): Promise<void> {
  const { address } = options
  try {
    if (!address) {
      if (!localPaths.some((path) => statSync(path, { throwIfNoEntry: false }))) throw new BerthError('unavailable', 'LOG_PEER_AWAY', 'Unix syslog delivery error')
    } else if (address.protocol === 'unixgram') UnixDatagrams.connect(address.path)[Symbol.dispose]()
    else if (address.protocol !== 'udp') (await dial(streamAddress(options, address))).destroy()
  } catch (cause) {
    throw new BerthError('unavailable', 'LOG_PEER_AWAY', `failed to initialize logging driver: ${messageOf(cause)}`, { cause })
  }
}

/** Whether messages are told apart by their length, as RFC 5425 wants it of TLS, instead of by the newline. */
const isCounted = ({ address, format }: SyslogOptions): boolean => address?.protocol === 'tcp+tls' && format.startsWith('rfc5424')

function streamAddress(options: SyslogOptions, address: SyslogAddress): StreamAddress {
  if ('path' in address) return { path: address.path }
  const { host, port } = address
  const tls = tlsOptions(options)
  return { host, port, ...(tls && { tls: { ...tls, ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }) } }) }
}

function localConnection(onLost: () => void): Connection {
  let current: Connection | undefined
  return {
    async send(messages, signal) {
      current ??= await findLocal(onLost)
      try {
        await current.send(messages, signal)
      } catch (error) {
        current.close()
        current = undefined
        throw error
      }
    },
    close: () => current?.close(),
  }
}

async function findLocal(onLost: () => void): Promise<Connection> {
  for (const path of localPaths) {
    try {
      return new UnixDatagramConnection(path, UnixDatagrams.connect(path))
    } catch (error) {
      // It is there, but a stream.
      if (isErrno(error, 'EPROTOTYPE')) return new StreamConnection({ path }, false, onLost)
    }
  }
  throw new BerthError('unavailable', 'LOG_PEER_AWAY', 'Unix syslog delivery error')
}

class StreamConnection implements Connection {
  readonly #stream: PeerStream
  readonly #isCounted: boolean

  constructor(address: StreamAddress, counted: boolean, onLost: () => void) {
    this.#stream = new PeerStream({ address, onLost })
    this.#isCounted = counted
  }

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const frames = this.#isCounted ? messages.flatMap((message) => [Buffer.from(`${message.length} `), message]) : messages
    await this.#stream.write(Buffer.concat(frames), signal)
  }

  close(): void {
    this.#stream.close()
  }
}

class UnixDatagramConnection implements Connection {
  readonly #path: string
  #socket: UnixDatagrams | undefined

  constructor(path: string, socket?: UnixDatagrams) {
    this.#path = path
    this.#socket = socket
  }

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    this.#socket ??= UnixDatagrams.connect(this.#path)
    try {
      for (const message of messages) await this.#socket.send(message.subarray(0, -1), signal)
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    this.#socket?.[Symbol.dispose]()
    this.#socket = undefined
  }
}

class UdpConnection implements Connection {
  readonly #address: { host: string; port: number }
  #socket: Socket | undefined

  constructor(address: { host: string; port: number }) {
    this.#address = address
  }

  async send(messages: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const { host, port } = this.#address
    const { address, family } = await lookup(host)
    const socket = (this.#socket ??= createSocket(family === 6 ? 'udp6' : 'udp4').on('error', () => {}))
    for (const message of messages) {
      signal.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        socket.send(message.subarray(0, -1), port, address, (error) => (error ? reject(error) : resolve()))
      })
    }
  }

  close(): void {
    this.#socket?.close()
    this.#socket = undefined
  }
}
