import type { Logger } from '@berth/core'
import type { LogDriver } from '@berth/log-driver'
import { shippedLogDriver, withoutCacheOptions } from '@berth/log-driver/shipping'
import { connectionOf, reachable } from './connection.ts'
import { checkSocket, parseOptions } from './options.ts'
import { SyslogShipper } from './shipper.ts'

export interface SyslogLogDriverOptions {
  /** Keeps what was not sent yet, and what `logs` reads. */
  cache: LogDriver
  logger?: Logger
}

/** Streams do not tell what arrived: a connection that holds for so many milliseconds has brought what it was given. */
const confirmAfter = 1000

/**
 * Sends output to a syslog receiver, in the formats and with the options of Docker's syslog driver.
 *
 * @example
 * const driver = syslogLogDriver({ cache: localLogDriver() })
 * const log = driver.open(container, { 'syslog-address': 'udp://10.0.0.1:514', tag: '{{.Name}}' })
 */
export function syslogLogDriver({ cache, logger }: SyslogLogDriverOptions): LogDriver & AsyncDisposable {
  const driver = shippedLogDriver({
    name: 'syslog',
    cache,
    ...(logger && { logger }),
    validate: (options) => void parseOptions(options),
    prepare: async (_container, options) => reachable(parseOptions(options)),
    open(container, options, onLost) {
      const parsed = parseOptions(options)
      return new SyslogShipper(container, options, parsed, connectionOf(parsed, onLost))
    },
    confirmAfter: (options) => (['udp', 'unixgram'].includes(parseOptions(options).address?.protocol ?? 'unixgram') ? 0 : confirmAfter),
  })
  return {
    ...driver,
    validate(options) {
      driver.validate(options)
      checkSocket(parseOptions(withoutCacheOptions(options)))
    },
  }
}
