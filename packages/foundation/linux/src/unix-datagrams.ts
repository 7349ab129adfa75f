import { closeSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isErrno } from '@berth/core'
import { libcFunction } from './libc.ts'

const sysSocket = libcFunction('int socket(int family, int type, int protocol)')
const sysConnect = libcFunction('int connect(int fd, const void *address, uint32_t length)')

const [AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [1, 2, 0x800, 0x80000]
const maxPath = 107
/** Milliseconds between tries while the receiver's queue is full. */
const retryDelay = 5

/** A Unix datagram socket that is connected to one receiver; `node:dgram` has none. @see unix(7) */
export class UnixDatagrams implements Disposable {
  #fd: number | undefined

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Throws ENOENT when there is no such socket, ECONNREFUSED when nobody has it open, EPROTOTYPE when it is one of another kind. */
  static connect(path: string): UnixDatagrams {
    const bytes = Buffer.from(path)
    if (bytes.length > maxPath || bytes.includes(0)) throw Object.assign(new Error(`EINVAL: no path of a socket: ${path}`), { code: 'EINVAL', errno: -22 })
    const name = Buffer.alloc(2 + maxPath + 1)
    name.writeUInt16LE(AF_UNIX, 0)
    name.set(bytes, 2)
    const fd = sysSocket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    try {
      sysConnect(fd, name, name.length)
      return new UnixDatagrams(fd)
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** Settles when the datagram is in the receiver's queue, for which it waits when that is full. Throws EMSGSIZE for one that is too large, ECONNREFUSED when the receiver is gone. */
  async send(datagram: Uint8Array, signal?: AbortSignal): Promise<void> {
    for (;;) {
      signal?.throwIfAborted()
      if (this.#fd === undefined) throw Object.assign(new Error('EBADF: the socket is closed'), { code: 'EBADF', errno: -9 })
      try {
        writeSync(this.#fd, datagram)
        return
      } catch (error) {
        if (!isErrno(error, 'EAGAIN', 'ENOBUFS')) throw error
      }
      await sleep(retryDelay, undefined, { signal })
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}
