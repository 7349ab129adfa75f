import { statSync } from 'node:fs'
import { BerthError, type Logger } from '@berth/core'
import { checkOptions, type LogDriver } from '@berth/log-driver'
import { shippedLogDriver } from '@berth/log-driver/shipping'
import { JournaldShipper } from './shipper.ts'

export interface JournaldLogDriverOptions {
  /** Keeps what was not sent yet, and what `logs` reads. */
  cache: LogDriver
  /** Journald's own protocol is spoken here; `/run/systemd/journal/socket`. */
  socket?: string
  logger?: Logger
}

/**
 * Sends output to systemd's journal, with the fields and the options of Docker's journald driver.
 *
 * @example
 * const driver = journaldLogDriver({ cache: localLogDriver() })
 * const log = driver.open(container, { tag: '{{.Name}}', labels: 'team' })
 */
export function journaldLogDriver({ cache, socket = '/run/systemd/journal/socket', logger }: JournaldLogDriverOptions): LogDriver & AsyncDisposable {
  return shippedLogDriver({
    name: 'journald',
    cache,
    ...(logger && { logger }),
    validate: (options) => checkOptions('journald', options, []),
    async prepare() {
      if (!statSync(socket, { throwIfNoEntry: false })) throw new BerthError('unavailable', 'JOURNALD_MISSING', 'failed to initialize logging driver: journald is not enabled on this host')
    },
    open: (container, options) => new JournaldShipper(container, options, socket),
  })
}
