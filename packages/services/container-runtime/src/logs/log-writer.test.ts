import { describe, expect, it } from 'vitest'
import { BerthError } from '@berth/core'
import type { Log, LogStream } from '@berth/log-driver'
import { LogWriter, type LogWriterOptions } from './log-writer.ts'

/** A log that takes nothing while `isFull`. */
function fullableLog() {
  const written: string[] = []
  const state = { isFull: false, isClosed: false, written }
  const refuse = (): void => {
    if (state.isFull) throw new BerthError('unavailable', 'LOG_FULL', 'no space left on device')
  }
  const log: Log = {
    path: undefined,
    write(stream: LogStream, chunk: Uint8Array) {
      if (state.isClosed) throw new BerthError('conflict', 'LOG_CLOSED', 'the log is closed')
      refuse()
      written.push(`${stream}:${Buffer.from(chunk).toString()}`)
    },
    async *read() {},
    close() {
      if (state.isClosed) return
      refuse()
      state.isClosed = true
    },
    remove() {},
  }
  return { log, state }
}

function writerOf(options: Partial<LogWriterOptions> = {}) {
  const { log, state } = fullableLog()
  const failures: unknown[] = []
  const drained = Promise.withResolvers<void>()
  const writer = new LogWriter({ log, onFailure: (error) => failures.push(error), onDrain: () => drained.resolve(), retryDelay: 1, ...options })
  return { writer, state, failures, drained: drained.promise }
}

const bytes = (text: string) => Buffer.from(text)

describe('LogWriter', () => {
  it('asks for a pause while nothing can be kept, and goes on in order', async () => {
    const { writer, state, failures, drained } = writerOf()
    expect(writer.write('stdout', bytes('1'))).toBe(true)
    state.isFull = true
    const chunk = bytes('2')
    expect(writer.write('stdout', chunk)).toBe(false)
    chunk.fill('x')
    expect(writer.write('stderr', bytes('3'))).toBe(false)
    state.isFull = false
    await drained
    expect(writer.write('stdout', bytes('4'))).toBe(true)
    expect(state.written).toEqual(['stdout:1', 'stdout:2', 'stderr:3', 'stdout:4'])
    expect(failures).toHaveLength(1)
    await writer.end()
    expect(state.isClosed).toBe(true)
  })

  it('tries again when the log says that it is worth it', async () => {
    const { log, state } = fullableLog()
    const room = Promise.withResolvers<void>()
    log.writable = () => room.promise
    const drained = Promise.withResolvers<void>()
    const writer = new LogWriter({ log, onFailure: () => {}, onDrain: () => drained.resolve() })
    state.isFull = true
    writer.write('stdout', bytes('1'))
    state.isFull = false
    room.resolve()
    await drained.promise
    expect(state.written).toEqual(['stdout:1'])
    writer.abandon()
  })

  it('keeps at its end what it could not before', async () => {
    const { writer, state } = writerOf()
    state.isFull = true
    writer.write('stdout', bytes('1'))
    const ended = writer.end()
    expect(state.written).toEqual([])
    state.isFull = false
    await ended
    expect(state.written).toEqual(['stdout:1'])
    expect(state.isClosed).toBe(true)
    expect(writer.resume()).toBe(false)
  })

  it('goes on with the next run where the last one’s output waits still', async () => {
    const { writer, state, drained } = writerOf()
    state.isFull = true
    writer.write('stdout', bytes('1'))
    void writer.end()
    expect(writer.resume()).toBe(true)
    expect(writer.write('stdout', bytes('2'))).toBe(false)
    state.isFull = false
    await drained
    expect(state.written).toEqual(['stdout:1', 'stdout:2'])
    expect(state.isClosed).toBe(false)
    await writer.end()
  })

  it('gives up when it is told to', async () => {
    const { writer, state, failures } = writerOf()
    state.isFull = true
    writer.write('stdout', bytes('1'))
    const ended = writer.end()
    writer.abandon()
    await ended
    state.isFull = false
    expect(writer.write('stdout', bytes('2'))).toBe(true)
    expect(state.written).toEqual([])
    expect(failures.length).toBeGreaterThan(0)
  })

  it('drops the oldest in non-blocking mode, and says so once', async () => {
    const { writer, state, failures, drained } = writerOf({ delivery: { mode: 'non-blocking', maxBufferSize: 4 } })
    state.isFull = true
    for (const text of ['11', '22', '33', '44']) expect(writer.write('stdout', bytes(text))).toBe(true)
    expect(failures).toHaveLength(2)
    state.isFull = false
    await writer.end()
    expect(state.written).toEqual(['stdout:33', 'stdout:44'])
    void drained
  })

  it('does not hold up a container for a log that is broken for good', () => {
    const { log } = fullableLog()
    log.write = () => {
      throw new Error('EIO')
    }
    const failures: unknown[] = []
    const writer = new LogWriter({ log, onFailure: (error) => failures.push(error) })
    expect(writer.write('stdout', bytes('1'))).toBe(true)
    expect(writer.write('stdout', bytes('2'))).toBe(true)
    expect(failures).toHaveLength(1)
    writer.abandon()
  })
})
