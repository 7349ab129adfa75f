import { BerthError, type Logger, messageOf } from '@berth/core'
import type { LogDriver } from '@berth/log-driver'
import { dial, shippedLogDriver } from '@berth/log-driver/shipping'
import { parseOptions } from './options.ts'
import { FluentdShipper } from './shipper.ts'

export interface FluentdLogDriverOptions {
  /** Keeps what was not sent yet, and what `logs` reads. */
  cache: LogDriver
  logger?: Logger
}

/** Without acknowledgements a connection that holds for so many milliseconds has brought what it was given. */
const confirmAfter = 1000

/**
 * Sends output to Fluentd or Fluent Bit, with the options of Docker's fluentd driver.
 *
 * @example
 * const driver = fluentdLogDriver({ cache: localLogDriver() })
 * const log = driver.open(container, { 'fluentd-address': 'tcp://10.0.0.1:24224', 'fluentd-request-ack': 'true' })
 */
export function fluentdLogDriver({ cache, logger }: FluentdLogDriverOptions): LogDriver & AsyncDisposable {
  return shippedLogDriver({
    name: 'fluentd',
    cache,
    ...(logger && { logger }),
    validate: (options) => void parseOptions(options),
    async prepare(_container, options) {
      const { address, isAsync } = parseOptions(options)
      if (isAsync) return
      try {
        ;(await dial(address)).destroy()
      } catch (cause) {
        throw new BerthError('unavailable', 'LOG_PEER_AWAY', `failed to initialize logging driver: ${messageOf(cause)}`, { cause })
      }
    },
    open: (container, options, onLost) => new FluentdShipper(container, options, parseOptions(options), onLost),
    confirmAfter: (options) => (parseOptions(options).requestAck ? 0 : confirmAfter),
  })
}
