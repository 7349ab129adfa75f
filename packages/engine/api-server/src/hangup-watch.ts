import type { Socket } from 'node:net'
import { hungUp } from '@berth/linux'

/** Milliseconds between two looks; what a client that is gone holds is held so much longer at most. */
const interval = 500

/**
 * Closes connections whose client is gone. One that has ended its input may still read, and Node, which reads nothing after that end or while the input
 * has to wait, does not notice when it has left; a write would tell, but a quiet process writes nothing.
 */
export class HangupWatch implements Disposable {
  readonly #sockets = new Set<Socket>()
  #timer: NodeJS.Timeout | undefined

  add(socket: Socket): void {
    if (socket.destroyed) return
    this.#sockets.add(socket)
    socket.once('close', () => this.#remove(socket))
    this.#timer ??= setInterval(() => this.#look(), interval).unref()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#sockets.clear()
  }

  #remove(socket: Socket): void {
    this.#sockets.delete(socket)
    if (this.#sockets.size === 0) this[Symbol.dispose]()
  }

  #look(): void {
    const byDescriptor = new Map([...this.#sockets].map((socket) => [descriptorOf(socket), socket]))
    byDescriptor.delete(-1)
    for (const descriptor of hungUp([...byDescriptor.keys()])) byDescriptor.get(descriptor)?.destroy()
  }
}

/** Node has no public name for it. */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1
}
