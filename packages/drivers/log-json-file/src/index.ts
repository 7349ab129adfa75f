import type { LogDriver } from '@berth/log-driver'
import { JsonFileLog } from './json-file-log.ts'
import { parseOptions } from './options.ts'

/**
 * Keeps output as Docker's json-file driver does: `<directory>/<id>-json.log`, a JSON record a line.
 *
 * @example
 * const log = jsonFileLogDriver().open({ id, name, directory }, { 'max-size': '10m', 'max-file': '3' })
 */
export function jsonFileLogDriver(): LogDriver {
  return {
    name: 'json-file',
    canRead: true,
    validate: (options) => void parseOptions(options),
    open: (container, options) => new JsonFileLog(container, parseOptions(options)),
  }
}
