import type { Duplex } from 'node:stream'
import { BerthError } from '@berth/core'
import type { Attachment } from './backend.ts'
import type { Call } from './call.ts'
import { BodyTooLargeError } from './call.ts'
import { forward, systemErrorFrame } from './streams.ts'

/** A connection that a client may have for itself, once a handler says so. */
export interface Upgrade {
  socket: Duplex
  /** What the client sent after the head of its request. */
  head: Buffer
  /** The connection left HTTP: nothing may be answered on it any more. */
  taken: boolean
}

/** How long a client may take to close its side once it has had everything, in milliseconds. */
export const lingerTime = 10_000
/** How long a client may take to send the body in front of its stream, in milliseconds. */
const bodyTime = 30_000

/** Requests whose connection can leave HTTP, by the request. */
export const upgrades = new WeakMap<Call['request'], Upgrade>()

/** Reads the body that stands before the upgraded stream, as long as its header says; what comes after it goes back. Throws `deadline-exceeded` when it does not come. */
export async function readUpgradedBody(call: Call, upgrade: Upgrade, limit: number): Promise<string> {
  const { headers } = call.request
  if (headers['transfer-encoding']) throw new BerthError('invalid-argument', 'BODY_CHUNKED', 'a body in front of an upgraded stream must come with a Content-Length')
  const length = Number(headers['content-length'] ?? 0)
  if (length > limit) throw new BodyTooLargeError()
  const chunks = [upgrade.head]
  let size = upgrade.head.length
  if (size < length) {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), bodyTime).unref()
    try {
      while (size < length) {
        const chunk = await nextChunk(upgrade.socket, late.signal)
        chunks.push(chunk)
        size += chunk.length
      }
    } finally {
      clearTimeout(timer)
    }
  }
  const data = Buffer.concat(chunks, size)
  upgrade.head = data.subarray(length)
  return data.subarray(0, length).toString()
}

/** Throws `cancelled` when none comes. */
function nextChunk(socket: Duplex, late: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (chunk?: Buffer): void => {
      socket.pause()
      socket.off('data', settle).off('end', onEnd).off('close', onEnd)
      late.removeEventListener('abort', onLate)
      if (chunk) resolve(chunk)
      else if (late.aborted) reject(new BerthError('deadline-exceeded', 'BODY_LATE', 'the request did not arrive in time'))
      else reject(new BerthError('cancelled', 'CLIENT_GONE', 'the client is gone'))
    }
    const onEnd = (): void => settle()
    const onLate = (): void => settle()
    if (socket.destroyed) return settle()
    late.addEventListener('abort', onLate)
    socket.on('data', settle).on('end', onEnd).on('close', onEnd)
  })
}

export interface ServeAttachmentOptions {
  /** Output without frames, as from a terminal. */
  isRaw: boolean
  /** Of the head, beside those that say what comes. */
  headers?: Record<string, string>
}

/**
 * Gives the connection over to a process's streams: raw, or framed. The head is Docker's to the byte: 101 for a client that asked for an upgrade, else 200
 * without a length, after which the connection is the client's as well. @see moby, postContainersAttach, postContainerExecStart
 */
export async function serveAttachment(call: Call, attachment: Attachment, { isRaw, headers = {} }: ServeAttachmentOptions): Promise<void> {
  const upgrade = upgrades.get(call.request)
  const type = isRaw || call.version < 42 ? 'raw-stream' : 'multiplexed-stream'
  if (!upgrade) return serveWithoutUpgrade(call, attachment, { isRaw, type })
  upgrade.taken = true
  const isAsked = call.request.headers.upgrade !== undefined
  const lines = {
    'Content-Type': `application/vnd.docker.${isAsked ? type : 'raw-stream'}`,
    ...(isAsked ? { Connection: 'Upgrade', Upgrade: 'tcp' } : {}),
    ...headers,
  }
  upgrade.socket.write(`HTTP/1.1 ${isAsked ? '101 UPGRADED' : '200 OK'}\r\n${Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
  closeWith(upgrade.socket, await connect(upgrade.socket, attachment, { isRaw, head: upgrade.head }), isRaw)
}

/** Joins a connection and a process's streams until either is done with. Gives the reason when the client is to have no more. */
export async function connect(socket: Duplex, attachment: Attachment, { isRaw, head = Buffer.alloc(0) }: { isRaw: boolean; head?: Buffer }): Promise<Error | undefined> {
  const { stdin, stdout, stderr } = attachment
  const gone = new Promise<undefined>((resolve) => void (socket.destroyed ? resolve(undefined) : socket.once('close', () => resolve(undefined))))
  if (stdin) {
    // The process closed its input; it may still have output, and the rest of the client's input goes nowhere.
    stdin.on('error', () => socket.unpipe(stdin).resume())
    if (head.length > 0) stdin.write(head)
    socket.pipe(stdin)
  } else {
    socket.resume() // so that the client's leaving is seen
  }
  const outputs = [...(stdout ? [forward(stdout, socket, 'stdout', isRaw)] : []), ...(stderr ? [forward(stderr, socket, 'stderr', isRaw)] : [])]
  let failures: (Error | undefined)[] | undefined
  try {
    failures = await Promise.race([gone, Promise.all([...outputs, attachment.done.then(() => undefined)])])
  } finally {
    if (stdin) socket.unpipe(stdin)
    attachment.detach()
  }
  return failures?.find((failure) => failure !== undefined)
}

/** Ends a stream; one that is not whole says so, so that nobody takes a part for the whole. */
function closeWith(socket: Duplex, failure: Error | undefined, isRaw: boolean): void {
  if (failure && !socket.destroyed) socket.write(isRaw ? `\r\n${failure.message}\r\n` : systemErrorFrame(failure.message))
  closeGently(socket)
}

/** Ends our side and takes in what the client still sends: closing on unread input would take back output that is on its way. */
export function closeGently(socket: Duplex): void {
  if (socket.destroyed) return
  socket.resume()
  socket.end()
  const late = setTimeout(() => socket.destroy(), lingerTime).unref()
  socket.once('close', () => clearTimeout(late))
}

/** For clients that send their input as the body of the request: output is the response. */
async function serveWithoutUpgrade(call: Call, attachment: Attachment, { isRaw, type }: { isRaw: boolean; type: string }): Promise<void> {
  const { request, response } = call
  response.shouldKeepAlive = false
  response.useChunkedEncodingByDefault = false
  response.writeHead(200, { 'Content-Type': `application/vnd.docker.${type}` })
  response.flushHeaders()
  const { stdin, stdout, stderr } = attachment
  if (stdin) {
    stdin.on('error', () => {})
    request.pipe(stdin)
  }
  const gone = new Promise<undefined>((resolve) => void (response.destroyed ? resolve(undefined) : response.once('close', () => resolve(undefined))))
  const outputs = [...(stdout ? [forward(stdout, response, 'stdout', isRaw)] : []), ...(stderr ? [forward(stderr, response, 'stderr', isRaw)] : [])]
  let failures: (Error | undefined)[] | undefined
  try {
    failures = await Promise.race([gone, Promise.all([...outputs, attachment.done.then(() => undefined)])])
  } finally {
    attachment.detach()
  }
  const failure = failures?.find((each) => each !== undefined)
  if (failure && !response.destroyed) response.write(isRaw ? `\r\n${failure.message}\r\n` : systemErrorFrame(failure.message))
  response.end()
}
