import { closeSync } from 'node:fs'
import { errnoError, libcFunction } from './libc.ts'

const sysSocket = libcFunction('int socket(int family, int type, int protocol)')
const sysSend = libcFunction('long send(int fd, const void *data, size_t length, int flags)')
const sysRecv = libcFunction('long recv(int fd, _Out_ void *data, size_t length, int flags)')

const [AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC] = [16, 3, 0x80000]
const [NLMSG_ERROR, NLMSG_DONE] = [2, 3]
const [NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP] = [1, 4, 0x300]
const headerBytes = 16

export interface NetlinkMessage {
  type: number
  /** Beyond NLM_F_REQUEST and NLM_F_ACK, which every request has. */
  flags?: number
  /** What follows the header. */
  payload: Uint8Array
}

/**
 * Speaks to the kernel in the network namespace in which it was opened, and keeps to it. Everything is synchronous: for worker threads.
 * @see netlink(7)
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number
  readonly #buffer = Buffer.alloc(256 << 10)
  #sequence = 1

  constructor(protocol = 0) {
    this.#fd = sysSocket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
  }

  /**
   * Sends the messages in one call, so that the kernel works on all of them even if this program is killed, and gives the payloads that it answered with.
   * Each is carried out whatever becomes of the others; the error of the first that failed is thrown.
   */
  request(...messages: readonly NetlinkMessage[]): Buffer[] {
    const first = this.#sequence
    this.#sequence += messages.length
    const packet = Buffer.concat(messages.map(({ type, flags = 0, payload }, index) => frame(type, flags | NLM_F_REQUEST | NLM_F_ACK, first + index, payload)))
    sysSend(this.#fd, packet, packet.length, 0)
    return this.#receive(first, messages.length, `netlink ${messages.map(({ type }) => type).join(', ')}`)
  }

  /** Asks for all of something. */
  dump({ type, flags = 0, payload }: NetlinkMessage): Buffer[] {
    const packet = frame(type, flags | NLM_F_REQUEST | NLM_F_DUMP, this.#sequence++, payload)
    sysSend(this.#fd, packet, packet.length, 0)
    return this.#receive(this.#sequence - 1, 1, `netlink ${type}`)
  }

  #receive(first: number, count: number, what: string): Buffer[] {
    const answers: Buffer[] = []
    let failure: NodeJS.ErrnoException | undefined
    for (let pending = count; pending > 0; ) {
      const size = sysRecv(this.#fd, this.#buffer, this.#buffer.length, 0)
      for (let at = 0; at + headerBytes <= size; ) {
        const length = this.#buffer.readUInt32LE(at)
        const type = this.#buffer.readUInt16LE(at + 4)
        const sequence = this.#buffer.readUInt32LE(at + 8)
        const payload = this.#buffer.subarray(at + headerBytes, at + length)
        at += Math.max(align(length), headerBytes)
        if (sequence < first || sequence >= first + count) continue
        if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
          answers.push(Buffer.from(payload))
          continue
        }
        pending -= 1
        const errno = payload.length >= 4 ? -payload.readInt32LE(0) : 0
        if (errno !== 0) failure ??= errnoError(errno, what)
      }
    }
    if (failure) throw failure
    return answers
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

/** An attribute, padded: its number and its bytes, or the attributes within. */
export function netlinkAttribute(type: number, value: Uint8Array | readonly Uint8Array[]): Buffer {
  const content = value instanceof Uint8Array ? value : Buffer.concat(value)
  const attribute = Buffer.alloc(align(4 + content.length))
  attribute.writeUInt16LE(4 + content.length, 0)
  attribute.writeUInt16LE(type, 2)
  attribute.set(content, 4)
  return attribute
}

/** Attributes by number, from `offset` on; of several with one number the last. */
export function parseNetlinkAttributes(payload: Buffer, offset = 0): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>()
  for (let at = offset; at + 4 <= payload.length; ) {
    const length = payload.readUInt16LE(at)
    if (length < 4) break
    attributes.set(payload.readUInt16LE(at + 2) & 0x3fff, payload.subarray(at + 4, at + length))
    at += align(length)
  }
  return attributes
}

function frame(type: number, flags: number, sequence: number, payload: Uint8Array): Buffer {
  const message = Buffer.alloc(align(headerBytes + payload.length))
  message.writeUInt32LE(headerBytes + payload.length, 0)
  message.writeUInt16LE(type, 4)
  message.writeUInt16LE(flags, 6)
  message.writeUInt32LE(sequence, 8)
  message.set(payload, headerBytes)
  return message
}

function align(length: number): number {
  return (length + 3) & ~3
}
