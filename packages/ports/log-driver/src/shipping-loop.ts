import { BerthError, type LogFields, messageOf } from '@berth/core'
import type { Log, LogEntry } from './index.ts'
import type { ShippedEntry, Shipper } from './shipper.ts'
import { type Cursor, type CursorFile, nextPosition, partOf } from './shipping-cursor.ts'
import type { CacheOptions } from './shipping-options.ts'
import { costOf, costOfChunk, entriesAfter, entriesFromNow } from './shipping-source.ts'

interface Item {
  entry: ShippedEntry
  /** Where the log stands when the peer has this. */
  after: Omit<Cursor, 'isDone'>
  cost: number
  /** When it was sent, by `performance.now()`. */
  at: number
}

export interface ShippingOptions {
  cursor: CursorFile
  limits: CacheOptions
  confirmAfter: number
  open(onLost: () => void): Shipper
  /** Everything is sent and nothing more comes, or it was ended. */
  onEnd(): void
  tell(level: 'info' | 'warn' | 'error', message: string, fields: LogFields): void
}

/** What is held in memory of entries that wait, and of those that the peer may not have yet, in bytes. */
const [maxQueued, maxUnconfirmed] = [1 << 20, 4 << 20]
const maxBatch = 512
/** Milliseconds. */
const [saveDelay, longestRetry, quietAfter] = [250, 15_000, 50]

/** Sends the entries of one container: from its log into a short queue, from there to the shipper, in order, until everything is sent. */
export class Shipping {
  readonly #options: ShippingOptions
  readonly #ending = new AbortController()
  readonly #ended = Promise.withResolvers<void>()
  #shipper: Shipper | undefined

  /** The log that is followed, and what ends that. */
  #source: { log: Log; stop: AbortController } | undefined
  /** Everything of the log that was followed is in the queue or beyond: it was closed. */
  #isAtEnd = false
  /** Where the queue's last entry leaves the log. */
  #pulled: Omit<Cursor, 'isDone'>
  #wasDone: boolean

  #queue: Item[] = []
  /** Bytes in the queue. */
  #queued = 0
  /** Bytes in the queue and beyond, until the peer has them. */
  #held = 0
  /** Sent a moment ago, and the bytes of that. */
  #unconfirmed: Item[] = []
  #unconfirmedBytes = 0
  #sent: Omit<Cursor, 'isDone'>
  /** Of everything that the peer does not have, what it takes in the cache. */
  #waiting = 0
  #dropped = 0
  #failures = 0
  /** What was sent in the last moment has to be sent again. */
  #isLost = false
  #isSending = false
  #saveTimer: NodeJS.Timeout | undefined
  #confirmTimer: NodeJS.Timeout | undefined
  readonly #wakers = new Set<() => void>()

  constructor(options: ShippingOptions) {
    this.#options = options
    const { position, openLines = {}, isDone = false } = options.cursor.load() ?? {}
    this.#sent = this.#pulled = { position, openLines }
    this.#wasDone = isDone
    void this.#run()
  }

  /** Throws `unavailable` while there is no room for a chunk; where nothing waits there is. */
  admit(chunk: Uint8Array): void {
    if (this.#waiting === 0 || this.#waiting + costOfChunk(chunk) <= this.#options.limits.capacity) return
    if (!this.#options.limits.isBlocking) return this.#dropOldest()
    throw new BerthError('unavailable', 'LOG_PEER_AWAY', 'the cache of the log is full of what its peer does not take')
  }

  /** Settles when there is room for a chunk. */
  async admits(chunk: Uint8Array): Promise<void> {
    const room = this.#options.limits.capacity - costOfChunk(chunk)
    while (this.#waiting > Math.max(0, room) && this.#options.limits.isBlocking && !this.#ending.signal.aborted) await this.#changed()
  }

  /** A chunk was written. */
  count(chunk: Uint8Array): void {
    this.#waiting += costOfChunk(chunk)
  }

  /** Takes entries from this log from now on: after those that were taken, or, the first time, after those that the peer has. */
  follow(log: Log): void {
    if (this.#source?.log === log || this.#ending.signal.aborted) return
    const isCurrent = this.#source ? this.#isAtEnd : this.#wasDone
    if (!this.#source) this.#begin()
    this.#source?.stop.abort()
    const stop = new AbortController()
    this.#source = { log, stop }
    this.#isAtEnd = false
    const { signal } = stop
    const entries = isCurrent ? entriesFromNow(log, signal) : entriesAfter(log, this.#pulled.position, { signal, onBacklog: (cost) => (this.#waiting = this.#held + cost) })
    void this.#pull(entries, stop)
  }

  /** Waits until everything that was written is sent, at most `grace` milliseconds and only for a peer that takes it, and ends. */
  async end(grace: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#failures > 0 ? 0 : grace)
    await Promise.race([this.#ended.promise, this.#quiet(), late])
    clearTimeout(timer)
    if (this.#ending.signal.aborted) return
    this.#save()
    this.abandon()
  }

  /** Ends at once; nothing is written any more. */
  abandon(): void {
    if (this.#ending.signal.aborted) return
    this.#ending.abort()
    this.#source?.stop.abort()
    clearTimeout(this.#saveTimer)
    clearTimeout(this.#confirmTimer)
    this.#shipper?.close()
    this.#wake()
    this.#options.onEnd()
    this.#ended.resolve()
  }

  /** Records that the log is not sent to its end any more, before that is so. */
  #begin(): void {
    try {
      this.#options.cursor.save({ ...this.#sent, isDone: false })
    } catch (cause) {
      throw new BerthError('unavailable', 'LOG_CURSOR_NOT_SAVED', `how far the log was sent could not be recorded: ${messageOf(cause)}`, { cause })
    }
  }

  async #pull(batches: AsyncGenerator<readonly LogEntry[]>, { signal }: AbortController): Promise<void> {
    try {
      for await (const entries of batches) {
        if (signal.aborted) return
        for (const entry of entries) this.#enqueue(entry)
        if (!this.#options.limits.isBlocking && this.#waiting >= this.#options.limits.capacity) this.#dropOldest()
        this.#wake()
        while (this.#queued >= maxQueued && !signal.aborted) await this.#changed()
        if (signal.aborted) return
      }
      if (signal.aborted) return
      this.#isAtEnd = true
      this.#wake()
    } catch (error) {
      if (signal.aborted) return
      this.#options.tell('error', 'what is to be sent of a log could not be read', { error: messageOf(error) })
      const log = this.#source!.log
      await this.#wait(1000)
      if (signal.aborted) return
      this.#source = undefined
      this.#wasDone = false
      this.follow(log)
    }
  }

  #enqueue(entry: LogEntry): void {
    const { openLines, partial } = partOf(this.#pulled.openLines, entry)
    const text = entry.line.at(-1) === 0x0a ? entry.line.subarray(0, -1) : entry.line
    this.#pulled = { position: nextPosition(this.#pulled.position, entry), openLines }
    const cost = costOf(entry.line.length)
    this.#queue.push({ entry: { stream: entry.stream, time: entry.time, text, ...(partial && { partial }) }, after: this.#pulled, cost, at: 0 })
    this.#queued += cost
    this.#held += cost
  }

  /** Entries that no peer was there for make room for new ones. */
  #dropOldest(): void {
    let count = 0
    for (; count < this.#queue.length && this.#waiting >= this.#options.limits.capacity; count++) this.#discount(this.#queue[count]!)
    this.#take(count)
    this.#dropped += count
    if (count > 0) this.#wake()
  }

  /** The oldest of the queue. */
  #take(count: number): Item[] {
    const items = this.#queue.splice(0, count)
    for (const { cost } of items) this.#queued -= cost
    return items
  }

  #putBack(items: readonly Item[]): void {
    this.#queue = [...items, ...this.#queue]
    for (const { cost } of items) this.#queued += cost
  }

  #discount({ cost }: Item): void {
    this.#held -= cost
    this.#waiting = Math.max(0, this.#waiting - cost)
  }

  /** Settles when nothing is left of what could be read of a log that was not closed, or when the peer does not take it. */
  async #quiet(): Promise<void> {
    const isBusy = (): boolean => this.#failures === 0 && (this.#queue.length > 0 || this.#isSending || this.#unconfirmed.length > 0)
    do {
      while (isBusy() && !this.#ending.signal.aborted) await this.#changed()
      await this.#wait(quietAfter)
    } while (isBusy())
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      if (this.#queue.length === 0) {
        if (this.#isAtEnd && this.#unconfirmed.length === 0) return this.#finish()
        await this.#changed()
        continue
      }
      const batch = this.#take(maxBatch)
      this.#wake()
      this.#isSending = true
      this.#isLost = false
      try {
        this.#shipper ??= this.#options.open(() => this.#lost())
        await this.#shipper.send(batch.map(({ entry }) => entry), signal)
        this.#isSending = false
        if (signal.aborted) return
        this.#accept(batch)
      } catch (error) {
        this.#isSending = false
        if (signal.aborted) return
        await this.#refused(batch, error)
      }
    }
  }

  #accept(batch: Item[]): void {
    const { confirmAfter, tell } = this.#options
    if (this.#failures > 0) tell('info', 'the peer of a log takes its output again', { dropped: this.#dropped })
    this.#failures = 0
    this.#dropped = 0
    const at = performance.now()
    for (const item of batch) {
      item.at = at
      this.#unconfirmedBytes += item.cost
    }
    this.#unconfirmed.push(...batch)
    if (this.#isLost) this.#lost()
    else if (confirmAfter === 0) this.#confirm(this.#unconfirmed.length)
    else this.#confirmLater()
  }

  async #refused(batch: Item[], error: unknown): Promise<void> {
    const { tell } = this.#options
    if (this.#failures++ === 0) tell('warn', 'the peer of a log does not take its output, which is kept and sent later', { error: messageOf(error) })
    const delay = this.#shipper?.retryDelay?.(this.#failures) ?? Math.min(longestRetry, 125 * 2 ** Math.min(this.#failures, 10))
    this.#putBack([...this.#takeUnconfirmed(), ...batch])
    this.#wake()
    if (delay !== 'give-up') return this.#wait(delay)
    tell('error', 'output was given up, as its peer has not taken it for too long', { entries: batch.length })
    this.#failures = 0
    for (const item of this.#take(batch.length)) {
      this.#discount(item)
      this.#sent = item.after
    }
    this.#saveLater()
    this.#wake()
  }

  #lost(): void {
    this.#isLost = true
    // What is being sent comes after it.
    if (this.#isSending || this.#unconfirmed.length === 0) return
    this.#putBack(this.#takeUnconfirmed())
    this.#wake()
  }

  #takeUnconfirmed(): Item[] {
    this.#unconfirmedBytes = 0
    return this.#unconfirmed.splice(0)
  }

  #confirmLater(): void {
    let size = this.#unconfirmedBytes
    let early = 0
    while (size > maxUnconfirmed) size -= this.#unconfirmed[early++]!.cost
    this.#confirm(early)
    if (this.#confirmTimer || this.#unconfirmed.length === 0) return
    const { confirmAfter } = this.#options
    this.#confirmTimer = setTimeout(
      () => {
        this.#confirmTimer = undefined
        const now = performance.now()
        const old = this.#unconfirmed.findIndex(({ at }) => at + confirmAfter > now)
        this.#confirm(old < 0 ? this.#unconfirmed.length : old)
        this.#confirmLater()
      },
      Math.max(1, this.#unconfirmed[0]!.at + confirmAfter - performance.now()),
    )
  }

  /** The peer has the oldest `count` of what was sent. */
  #confirm(count: number): void {
    if (count === 0) return
    const confirmed = this.#unconfirmed.splice(0, count)
    for (const item of confirmed) {
      this.#discount(item)
      this.#unconfirmedBytes -= item.cost
    }
    this.#sent = confirmed.at(-1)!.after
    this.#saveLater()
    this.#wake()
  }

  #finish(): void {
    clearTimeout(this.#saveTimer)
    this.#save(true)
    this.abandon()
  }

  #saveLater(): void {
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined
      this.#save()
    }, saveDelay)
  }

  #save(isDone = false): void {
    try {
      this.#options.cursor.save({ ...this.#sent, isDone })
    } catch (error) {
      this.#options.tell('error', 'how far a log was sent could not be recorded', { error: messageOf(error) })
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#wakers.add(resolve))
  }

  #wake(): void {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
  }

  /** Ends early when the sending ends. */
  async #wait(milliseconds: number): Promise<void> {
    const { signal } = this.#ending
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, milliseconds)
      function done(): void {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      signal.addEventListener('abort', done)
    })
  }
}
