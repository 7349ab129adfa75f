import type { Duplex } from 'node:stream'
import { BerthError } from '@berth/core'
import type { Attachment } from './backend.ts'
import type { Call } from './call.ts'
import { BodyTooLargeError } from './call.ts'
import { forward } from './streams.ts'

/** A connection that a client asked to have for itself, once a handler says so. */
export interface Upgrade {
  socket: Duplex
  /** What the client sent after the head of its request. */
  head: Buffer
  /** The connection left HTTP: nothing may be answered on it any more. */
  taken: boolean
}

/** How long a client may take to close its side once it has had everything, in milliseconds. */
export const lingerTime = 10_000

/** Requests that came with `Connection: Upgrade`, by the request. */
export const upgrades = new WeakMap<Call['request'], Upgrade>()

/** Reads the body that stands before the upgraded stream, as long as its header says; what comes after it goes back. */
export async function readUpgradedBody(call: Call, upgrade: Upgrade, limit: number): Promise<string> {
  const { headers } = call.request
  if (headers['transfer-encoding']) throw new BerthError('invalid-argument', 'BODY_CHUNKED', 'a body in front of an upgraded stream must come with a Content-Length')
  const length = Number(headers['content-length'] ?? 0)
  if (length > limit) throw new BodyTooLargeError()
  let data = upgrade.head
  while (data.length < length) data = Buffer.concat([data, await nextChunk(upgrade.socket)])
  upgrade.head = data.subarray(length)
  return data.subarray(0, length).toString()
}

/** Throws `cancelled` when none comes. */
function nextChunk(socket: Duplex): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (chunk?: Buffer): void => {
      socket.pause()
      socket.off('data', settle).off('end', settle).off('close', settle)
      if (chunk) resolve(chunk)
      else reject(new BerthError('cancelled', 'CLIENT_GONE', 'the client is gone'))
    }
    socket.on('data', settle).on('end', settle).on('close', settle)
  })
}

/** Gives the connection over to a process's streams: raw with a terminal, framed without. */
export async function serveAttachment(call: Call, attachment: Attachment, headers: Record<string, string>): Promise<void> {
  const type = attachment.tty || call.version < 42 ? 'raw-stream' : 'multiplexed-stream'
  const upgrade = upgrades.get(call.request)
  if (!upgrade) return serveWithoutUpgrade(call, attachment, type)
  const { socket, head } = upgrade
  upgrade.taken = true
  const lines = Object.entries({ ...headers, 'Content-Type': `application/vnd.docker.${type}`, Connection: 'Upgrade', Upgrade: 'tcp' })
  socket.write(`HTTP/1.1 101 UPGRADED\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)

  const { stdin } = attachment
  const gone = new Promise<void>((resolve) => void (socket.destroyed ? resolve() : socket.once('close', resolve)))
  if (stdin) {
    // The process closed its input; it may still have output, and the rest of the client's input goes nowhere.
    stdin.on('error', () => socket.unpipe(stdin).resume())
    if (head.length > 0) stdin.write(head)
    socket.pipe(stdin)
  } else {
    socket.resume() // so that the client's leaving is seen
  }
  const outputs = [
    ...(attachment.stdout ? [forward(attachment.stdout, socket, 'stdout', attachment.tty)] : []),
    ...(attachment.stderr ? [forward(attachment.stderr, socket, 'stderr', attachment.tty)] : []),
  ]
  try {
    await Promise.race([gone, Promise.all([attachment.done, ...outputs])])
  } finally {
    if (stdin) socket.unpipe(stdin)
    attachment.detach()
  }
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

/** For clients that do not ask for an upgrade: output is the response, and the body of the request is the input. */
async function serveWithoutUpgrade(call: Call, attachment: Attachment, type: string): Promise<void> {
  const { request, response } = call
  response.shouldKeepAlive = false
  response.useChunkedEncodingByDefault = false
  response.writeHead(200, { 'Content-Type': `application/vnd.docker.${type}` })
  response.flushHeaders()
  if (attachment.stdin) {
    attachment.stdin.on('error', () => {})
    request.pipe(attachment.stdin)
  }
  const gone = new Promise<void>((resolve) => void (response.destroyed ? resolve() : response.once('close', resolve)))
  const outputs = [
    ...(attachment.stdout ? [forward(attachment.stdout, response, 'stdout', attachment.tty)] : []),
    ...(attachment.stderr ? [forward(attachment.stderr, response, 'stderr', attachment.tty)] : []),
  ]
  try {
    await Promise.race([gone, Promise.all([attachment.done, ...outputs])])
  } finally {
    attachment.detach()
  }
  response.end()
}
