import { finished, type Duplex, Writable } from 'node:stream'
import { demultiplex, type OutputChunk, rawOutput } from './output-frames.ts'

/**
 * A connection that carries the streams of a process. Ending `stdin` ends the process's input and leaves its output open. `output` ends with the
 * process; it is read once, and as fast as it is read the process may write. Disposing hangs up.
 */
export interface ProcessConnection extends AsyncDisposable {
  /** The process has a terminal: its output is one stream. */
  readonly tty: boolean
  readonly stdin: Writable
  readonly output: AsyncIterable<OutputChunk>
}

async function* received(socket: Duplex, head: Buffer, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  if (head.length > 0) yield head
  try {
    // Leaving the loop must not destroy the connection: input may still be on its way.
    yield* socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

export function openProcessConnection(socket: Duplex, head: Buffer, { tty, signal }: { tty: boolean; signal: AbortSignal | undefined }): ProcessConnection {
  const hangUp = (): void => void socket.destroy()
  signal?.addEventListener('abort', hangUp, { once: true })
  finished(socket, () => signal?.removeEventListener('abort', hangUp))
  socket.on('error', () => {}) // the one who reads the output hears of it
  const bytes = received(socket, head, signal)
  const stdin = new Writable({
    write(chunk: Uint8Array, _encoding, callback) {
      if (socket.destroyed || socket.writableEnded) return callback() // the process is gone, and with it whoever would read this
      if (socket.write(chunk)) return callback()
      const proceed = (): void => {
        socket.off('drain', proceed).off('close', proceed)
        callback()
      }
      socket.on('drain', proceed).on('close', proceed)
    },
    final(callback) {
      socket.end()
      callback()
    },
  })
  return {
    tty,
    stdin,
    output: tty ? rawOutput(bytes) : demultiplex(bytes),
    async [Symbol.asyncDispose]() {
      socket.destroy()
    },
  }
}
