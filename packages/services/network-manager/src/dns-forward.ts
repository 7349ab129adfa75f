import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { answers, type DnsQuery, isTruncated } from './dns-message.ts'

export interface DnsServerAddress {
  address: string
  port: number
}

const [udpTimeout, tcpTimeout, rounds] = [2000, 4000, 2]

/** Asks other servers, one after the other, from the network namespace of the calling thread. Undefined when none of them answers. */
export async function forwardQuery(message: Buffer, query: DnsQuery, servers: readonly DnsServerAddress[]): Promise<Buffer | undefined> {
  for (let round = 0; round < rounds; round++) {
    for (const server of servers) {
      const answer = await askOverUdp(message, query, server)
      if (!answer) continue
      return isTruncated(answer) ? ((await askOverTcp(message, query, server)) ?? answer) : answer
    }
  }
  return undefined
}

function askOverUdp(message: Buffer, query: DnsQuery, { address, port }: DnsServerAddress): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    let isOver = false
    const finish = (answer?: Buffer): void => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    const timer = setTimeout(finish, udpTimeout)
    socket.on('error', () => finish())
    socket.on('message', (answer) => {
      if (answers(answer, message, query)) finish(answer) // anything else may be forged: the answer may come yet
    })
    // Connected, so that only the server's own datagrams arrive, and a closed port is told at once.
    socket.connect(port, address, () => {
      if (!isOver) socket.send(message)
    })
  })
}

function askOverTcp(message: Buffer, query: DnsQuery, { address, port }: DnsServerAddress): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: address })
    let received = Buffer.alloc(0)
    const finish = (answer?: Buffer): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(tcpTimeout, () => finish())
    socket.on('error', () => finish())
    socket.on('close', () => finish())
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      const answer = received.subarray(2, 2 + received.readUInt16BE(0))
      finish(answers(answer, message, query) ? answer : undefined)
    })
    socket.write(framed(message))
  })
}

/** A message as it goes over TCP. @see RFC 1035, section 4.2.2 */
export function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.of(message.length >> 8, message.length & 255), message])
}
