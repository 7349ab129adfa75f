import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { Log, LogDriver, LoggedContainer } from '@berth/log-driver'
import type { Container } from '../container.ts'
import { type Context, stateDirOf } from '../context.ts'

/** The driver a container logs with; undefined for `none`. Throws `invalid-argument` for one that is not there. */
export function logDriverOf({ deps }: Context, { LogConfig }: HostConfig): LogDriver | undefined {
  const type = LogConfig?.Type ?? ''
  const driver = deps.logDrivers.get(type)
  if (driver || type === 'none') return driver
  throw new BerthError('invalid-argument', 'LOG_DRIVER_UNKNOWN', `logger: no log driver named '${type}' is registered`)
}

/** Opens a container's log; the caller closes it. */
export function openLog(ctx: Context, container: Container): Log | undefined {
  return withDriver(ctx, container, (driver, logged, options) => driver.open(logged, options))
}

/** Fails when a container that a client starts cannot log now, as with a peer that has to be there. */
export async function prepareLog(ctx: Context, container: Container): Promise<void> {
  await withDriver(ctx, container, async (driver, logged, options) => driver.prepare?.(logged, options))
}

/** Goes on with what the driver of a container that does not run has left undone when the engine ended. */
export function resumeLog(ctx: Context, container: Container): void {
  withDriver(ctx, container, (driver, logged, options) => driver.resume?.(logged, options))
}

function withDriver<T>(ctx: Context, container: Container, use: (driver: LogDriver, logged: LoggedContainer, options: Readonly<Record<string, string>>) => T): T | undefined {
  const { config, createdAt, host, imageId } = container.record.definition
  const driver = logDriverOf(ctx, host)
  const logged: LoggedContainer = {
    id: container.id,
    name: container.name,
    imageId,
    imageName: config.Image ?? '',
    command: [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])],
    createdAt: new Date(createdAt),
    labels: config.Labels ?? {},
    env: config.Env ?? [],
    directory: stateDirOf(ctx, container.id),
  }
  return driver && use(driver, logged, host.LogConfig?.Config ?? {})
}
