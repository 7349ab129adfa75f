import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, connect as connectSocket, type Socket } from 'node:net'
import { BerthError } from '@berth/core'
import { ProtoMessage, ProtoWriter } from './protobuf.ts'

/**
 * ttrpc, containerd's light RPC over a stream socket: a header of 10 bytes (length u32, stream u32, type u8, flags u8,
 * big-endian) and a protobuf Request or Response.
 * @see https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
 */
const headerLength = 10
const maxMessage = 4 << 20
const requestType = 1
const responseType = 2

/** A call that the other side answered with an error. */
export class RpcFailure extends Error {
  /** As gRPC numbers them: 5 not found, 6 already exists, 9 failed precondition, … */
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.name = 'RpcFailure'
    this.code = code
  }
}

/** The other side went away; whether calls in flight were carried out is not known. */
export class RpcClosed extends Error {
  constructor() {
    super('connection closed')
    this.name = 'RpcClosed'
  }
}

export class TtrpcClient {
  /** Settles when the connection is gone. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #calls = new Map<number, { resolve: (payload: Buffer) => void; reject: (error: Error) => void }>()
  #nextStream = 1

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => {}) // 'close' follows and says enough
    readFrames(socket, (stream, type, body) => {
      const call = this.#calls.get(stream)
      if (type !== responseType || !call) return
      this.#calls.delete(stream)
      const response = new ProtoMessage(body)
      const status = response.message(1)
      if (status.uint(1)) call.reject(new RpcFailure(status.uint(1), status.text(2)))
      else call.resolve(response.bytes(2))
    })
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const call of this.#calls.values()) call.reject(new RpcClosed())
        this.#calls.clear()
        resolve()
      })
    })
  }

  /** Rejects with the system's error (ENOENT, ECONNREFUSED) when nobody listens. */
  static async connect(path: string): Promise<TtrpcClient> {
    const socket = connectSocket(path)
    await once(socket, 'connect')
    return new TtrpcClient(socket)
  }

  async call(service: string, method: string, payload: Buffer): Promise<ProtoMessage> {
    if (this.#socket.destroyed) throw new RpcClosed()
    const stream = this.#nextStream
    this.#nextStream += 2
    const body = new ProtoWriter().text(1, service).text(2, method).bytes(3, payload).finish()
    if (body.length > maxMessage) throw new BerthError('invalid-argument', 'RPC_TOO_BIG', `${method}: request of ${body.length} bytes is too big`)
    const answer = new Promise<Buffer>((resolve, reject) => this.#calls.set(stream, { resolve, reject }))
    this.#socket.write(frame(stream, requestType, body))
    return new ProtoMessage(await answer)
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Lets the program end while this connection is open. */
  unref(): void {
    this.#socket.unref()
  }
}

/** Answers every request on a unix socket with an empty response after telling `onRequest`. Resolves once it listens. */
export async function serveTtrpc(path: string, onRequest: (method: string, payload: Buffer) => void): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.unref()
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    readFrames(socket, (stream, type, body) => {
      if (type !== requestType) return
      const request = new ProtoMessage(body)
      onRequest(request.text(2), request.bytes(3))
      socket.write(frame(stream, responseType, new ProtoWriter().bytes(1, Buffer.alloc(0)).finish()))
    })
  })
  rmSync(path, { force: true }) // a predecessor that was killed leaves it
  server.listen(path).unref()
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function frame(stream: number, type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(headerLength)
  header.writeUInt32BE(body.length, 0)
  header.writeUInt32BE(stream, 4)
  header[8] = type
  return Buffer.concat([header, body])
}

/** Whatever is not ttrpc ends the connection. */
function readFrames(socket: Socket, onFrame: (stream: number, type: number, body: Buffer) => void): void {
  let pending: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length ? Buffer.concat([pending, chunk]) : chunk
    try {
      while (pending.length >= headerLength) {
        const length = pending.readUInt32BE(0)
        if (length > maxMessage) throw new BerthError('data-loss', 'RPC_MALFORMED', 'oversized frame')
        if (pending.length < headerLength + length) return
        const body = pending.subarray(headerLength, headerLength + length)
        const [stream, type] = [pending.readUInt32BE(4), pending[8] ?? 0]
        pending = pending.subarray(headerLength + length)
        onFrame(stream, type, body)
      }
    } catch {
      socket.destroy()
    }
  })
}
