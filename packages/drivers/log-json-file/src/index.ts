import { join } from 'node:path'
import { attributesOf, checkOptions, type LogDriver } from '@berth/log-driver'
import { FileLog, parseRotation, rotationOptions } from '@berth/log-driver/files'
import { jsonFormat } from './json-format.ts'

const byDefault = { maxSize: 100_000_000, maxFile: 3, compress: false }

/**
 * Keeps output as Docker's json-file driver does: `<directory>/<id>-json.log`, a JSON record a line. Bounded when no option says otherwise.
 *
 * @example
 * const log = jsonFileLogDriver().open(container, { 'max-size': '10m', 'max-file': '3' })
 */
export function jsonFileLogDriver(): LogDriver {
  return {
    name: 'json-file',
    canRead: true,
    validate(options) {
      checkOptions('json-file', options, rotationOptions)
      parseRotation(options, byDefault)
    },
    open(container, options) {
      checkOptions('json-file', options, rotationOptions)
      return new FileLog({
        path: join(container.directory, `${container.id}-json.log`),
        format: jsonFormat(attributesOf(container, options)),
        ...parseRotation(options, byDefault),
      })
    },
  }
}
