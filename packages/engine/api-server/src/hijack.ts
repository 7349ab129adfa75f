import type { Duplex } from 'node:stream'
import type { Attachment } from './backend.ts'
import type { Call } from './call.ts'
import { forward } from './streams.ts'

/** A connection that a client asked to have for itself, once a handler says so. */
export interface Upgrade {
  socket: Duplex
  /** What the client sent after the head of its request. */
  head: Buffer
}

/** Requests that came with `Connection: Upgrade`, by the request. */
export const upgrades = new WeakMap<Call['request'], Upgrade>()

/** Reads the body that stands before the upgraded stream, as long as its header says; what comes after it goes back. */
export async function readUpgradedBody(call: Call, upgrade: Upgrade, limit: number): Promise<string> {
  const length = Math.min(Number(call.request.headers['content-length'] ?? 0), limit)
  let data = upgrade.head
  while (data.length < length) {
    const chunk = (await new Promise((resolve, reject) => {
      upgrade.socket.once('data', resolve)
      upgrade.socket.once('close', () => reject(new Error('the client is gone')))
    })) as Buffer
    upgrade.socket.pause()
    data = Buffer.concat([data, chunk])
  }
  upgrade.head = data.subarray(length)
  return data.subarray(0, length).toString()
}

/** Gives the connection over to a process's streams: raw with a terminal, framed without. */
export async function serveAttachment(call: Call, attachment: Attachment, headers: Record<string, string>): Promise<void> {
  const type = attachment.tty || call.version < 42 ? 'raw-stream' : 'multiplexed-stream'
  const upgrade = upgrades.get(call.request)
  if (!upgrade) return serveWithoutUpgrade(call, attachment, type)
  const { socket, head } = upgrade
  const lines = Object.entries({ ...headers, 'Content-Type': `application/vnd.docker.${type}`, Connection: 'Upgrade', Upgrade: 'tcp' })
  socket.write(`HTTP/1.1 101 UPGRADED\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)

  const { stdin } = attachment
  const gone = new Promise<void>((resolve) => {
    socket.once('close', resolve)
    socket.on('error', () => socket.destroy())
  })
  if (stdin) {
    stdin.on('error', () => {}) // the process closed its input; it may still have output
    if (head.length > 0) stdin.write(head)
    socket.pipe(stdin)
  } else {
    socket.resume() // so that the client's leaving is seen
  }
  const outputs = [
    ...(attachment.stdout ? [forward(attachment.stdout, socket, 'stdout', attachment.tty)] : []),
    ...(attachment.stderr ? [forward(attachment.stderr, socket, 'stderr', attachment.tty)] : []),
  ]
  await Promise.race([gone, Promise.all([attachment.done, ...outputs])])
  if (stdin) socket.unpipe(stdin)
  attachment.detach()
  socket.end()
  // A client that never closes its side is not waited for once it has had everything.
  if (!socket.destroyed) socket.once('finish', () => socket.destroy())
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
  const gone = new Promise<void>((resolve) => response.once('close', resolve))
  await Promise.race([
    gone,
    Promise.all([
      attachment.done,
      ...(attachment.stdout ? [forward(attachment.stdout, response, 'stdout', attachment.tty)] : []),
      ...(attachment.stderr ? [forward(attachment.stderr, response, 'stderr', attachment.tty)] : []),
    ]),
  ])
  attachment.detach()
  response.end()
}
