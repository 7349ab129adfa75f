/**
 * Logs that are sent elsewhere, made of a log that is kept here: every write goes to a cache on this machine first, and a shipper follows the cache and
 * sends. So nothing is lost while the peer is away or the process is not there, and what was sent can still be read.
 *
 * A shipped log sends every entry at least once. A place in the container's directory (`shipping.json`) tells how far the peer has it; it is written
 * a few times a second, so that after a crash the entries of the last moment may be sent twice. After an orderly end nothing is.
 *
 * @example
 * const driver = shippedLogDriver({ name: 'beacon', cache: localLogDriver(), validate() {}, open: () => ({ send: (entries) => post(entries), close() {} }) })
 */
import { type Logger, silent } from '@berth/core'
import type { LogDriver, LoggedContainer } from './index.ts'
import { ShippedLog } from './shipped-log.ts'
import type { Shipper } from './shipper.ts'
import { cursorOf } from './shipping-cursor.ts'
import { Shipping } from './shipping-loop.ts'
import { cacheOptions, type CacheOptions, withoutCacheOptions } from './shipping-options.ts'

export type { ShippedEntry, Shipper } from './shipper.ts'
export { withoutCacheOptions } from './shipping-options.ts'
export { dial, PeerStream, type PeerStreamOptions, type StreamAddress } from './peer-stream.ts'

export interface ShippedLogOptions {
  name: string
  /** A log that can be read, and takes `max-size`, `max-file` and `compress`. A record of it should not take more than 128 bytes beside its text. */
  cache: LogDriver
  /** Throws `invalid-argument` for options of the driver's own. Those of the cache are not among them. */
  validate(options: Readonly<Record<string, string>>): void
  /** @param onLost To be called when the peer went away, and what it was sent within `confirmAfter` may not have reached it. */
  open(container: LoggedContainer, options: Readonly<Record<string, string>>, onLost: () => void): Shipper
  /** See {@link LogDriver.prepare}. */
  prepare?(container: LoggedContainer, options: Readonly<Record<string, string>>): Promise<void>
  /** Milliseconds after which what was sent counts as arrived, for protocols that do not tell; 0 for those that do. */
  confirmAfter?(options: Readonly<Record<string, string>>): number
  logger?: Logger
}

/** How long a disposed driver waits for what is being sent, in milliseconds. */
const grace = 2000

/** A log driver that keeps entries in a cache and sends them from there. Disposing it ends the sending; what was not sent is sent when the container's log is opened again. */
export function shippedLogDriver(options: ShippedLogOptions): LogDriver & AsyncDisposable {
  const { name, cache, logger = silent } = options
  /** What is being sent, by the container's directory. */
  const shippings = new Map<string, Shipping>()

  const begin = (container: LoggedContainer, given: Readonly<Record<string, string>>, limits: CacheOptions): Shipping => {
    const { directory, id } = container
    const own = withoutCacheOptions(given)
    const shipping: Shipping = new Shipping({
      cursor: cursorOf(directory),
      limits,
      confirmAfter: options.confirmAfter?.(own) ?? 0,
      open: (onLost) => options.open(container, own, onLost),
      onEnd: () => {
        if (shippings.get(directory) === shipping) shippings.delete(directory)
      },
      tell: (level, message, fields) => logger[level](message, { container: id, driver: name, ...fields }),
    })
    shippings.set(directory, shipping)
    return shipping
  }

  const driver: LogDriver = {
    name,
    canRead: true,
    validate(given) {
      options.validate(withoutCacheOptions(given))
      cacheOptions(given)
    },
    open(container, given) {
      driver.validate(given)
      const limits = cacheOptions(given)
      const kept = cache.open(container, limits.ofCache)
      const { directory } = container
      const log = new ShippedLog(kept, {
        shipping: () => shippings.get(directory) ?? begin(container, given, limits),
        forget() {
          shippings.get(directory)?.abandon()
          cursorOf(directory).remove()
        },
      })
      // What is being sent goes on; what an earlier process left undone is begun again.
      if (!shippings.has(directory) && cursorOf(directory).load()?.isDone === false) begin(container, given, limits).follow(kept)
      return log
    },
    prepare: async (container, given) => options.prepare?.(container, withoutCacheOptions(given)),
    resume(container, given) {
      if (cursorOf(container.directory).load()?.isDone === false) driver.open(container, given).close()
    },
  }
  return {
    ...driver,
    async [Symbol.asyncDispose]() {
      const ends = [...shippings.values()].map((shipping) => shipping.end(grace))
      await Promise.all(ends)
    },
  }
}
