import { join } from 'node:path'
import { attributesOf, checkOptions, type LogDriver } from '@berth/log-driver'
import { FileLog, parseRotation, rotationOptions } from '@berth/log-driver/files'
import { localFormat } from './local-format.ts'

const byDefault = { maxSize: 20 * 1024 * 1024, maxFile: 5, compress: true }

/**
 * Keeps output as Docker's local driver does, in `<directory>/local-logs/container.log`: smaller and faster to write than JSON, byte for byte what the container
 * wrote, at most 5 files of 20 MiB of which the older ones are compressed.
 *
 * @example
 * const log = localLogDriver().open(container, { 'max-size': '10m', 'max-file': '3' })
 */
export function localLogDriver(): LogDriver {
  return {
    name: 'local',
    canRead: true,
    validate(options) {
      checkOptions('local', options, rotationOptions)
      parseRotation(options, byDefault)
    },
    open(container, options) {
      checkOptions('local', options, rotationOptions)
      return new FileLog({
        path: join(container.directory, 'local-logs', 'container.log'),
        format: localFormat(attributesOf(container, options)),
        ...parseRotation(options, byDefault),
      })
    },
  }
}
