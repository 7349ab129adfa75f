import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type DnsServerAddress, forwardQuery, framed } from './dns-forward.ts'
import { type DnsQuery, nameData, parseQuery, response } from './dns-message.ts'

const message = Buffer.concat([Buffer.from([0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), nameData('example.org')!, Buffer.from([0, 1, 0, 1])])
const { query } = parseQuery(message) as { query: DnsQuery }
const answerWith = (byte: number): Buffer => response(message, query, 0, [Buffer.of(byte, 0, 0, 1)])

describe('other servers', () => {
  const open: (() => void)[] = []
  afterEach(() => {
    for (const close of open.splice(0)) close()
  })

  async function serve(answer: (socket: Socket, port: number) => void): Promise<DnsServerAddress> {
    const socket = createSocket('udp4')
    open.push(() => socket.close())
    socket.on('message', (_message, { port }) => answer(socket, port))
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return { address: '127.0.0.1', port: socket.address().port }
  }

  /** Where nobody listens. */
  async function closed(): Promise<DnsServerAddress> {
    const server = await serve(() => {})
    open.pop()?.()
    return server
  }

  it('are asked, one after the other', async () => {
    const server = await serve((socket, port) => socket.send(answerWith(1), port, '127.0.0.1'))
    expect(await forwardQuery(message, query, [await closed(), server])).toEqual(answerWith(1))
  })

  it('may all be away', async () => {
    expect(await forwardQuery(message, query, [await closed(), await closed()])).toBeUndefined()
  })

  it('are believed only when they answer the question', async () => {
    const server = await serve((socket, port) => {
      const wrongId = Buffer.from(answerWith(2))
      wrongId.writeUInt16BE(10, 0)
      const wrongName = Buffer.from(answerWith(3))
      wrongName[13] = 0x58
      for (const forged of [wrongId, wrongName, message, Buffer.alloc(3), answerWith(1)]) socket.send(forged, port, '127.0.0.1')
    })
    expect(await forwardQuery(message, query, [server])).toEqual(answerWith(1))
  })

  it('are asked over TCP for what does not fit into a datagram', async () => {
    const server = await serve((socket, port) => {
      const truncated = response(message, query, 0)
      truncated[2] = (truncated[2] ?? 0) | 0x02
      socket.send(truncated, port, '127.0.0.1')
    })
    const tcp = createServer((socket) => {
      socket.once('data', () => {
        // In pieces, as networks do.
        const answer = framed(answerWith(7))
        socket.write(answer.subarray(0, 1))
        setImmediate(() => socket.end(answer.subarray(1)))
      })
    })
    open.push(() => tcp.close())
    await new Promise<void>((resolve) => tcp.listen(server.port, '127.0.0.1', resolve))
    expect(await forwardQuery(message, query, [server])).toEqual(answerWith(7))
  })
})
