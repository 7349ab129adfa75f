export type LogFields = Record<string, unknown>

/** Where a library tells what it does. Fields never hold secrets. Every library defaults to {@link silent}. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }
