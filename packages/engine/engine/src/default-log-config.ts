import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { LogDriver } from '@berth/log-driver'
import type { EngineOptions } from './engine-options.ts'

type LogConfig = NonNullable<HostConfig['LogConfig']>

/** Where output goes that no container says anything of. Throws `invalid-argument` for a driver that is not there, or for options that it does not take. */
export function defaultLogConfig(drivers: ReadonlyMap<string, LogDriver>, { driver, options }: NonNullable<EngineOptions['logConfig']> = { driver: 'json-file', options: {} }): LogConfig {
  const found = drivers.get(driver)
  if (!found && driver !== 'none') throw new BerthError('invalid-argument', 'LOG_DRIVER_UNKNOWN', `logger: no log driver named '${driver}' is registered`)
  found?.validate(options)
  return { Type: driver as NonNullable<LogConfig['Type']>, Config: { ...options } }
}
