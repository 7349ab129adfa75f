import { BerthError, isErrno, type Logger } from '@berth/core'
import type { OciRuntime } from '@berth/oci-runtime'

/** Makes an OCI runtime that keeps what it needs in a directory. */
export type OpenOciRuntime = (options: { stateDir: string; logger?: Logger }) => OciRuntime

/** The driver that is used when none is given. Its name is no dependency: a service does not need one driver rather than another. */
const driver = '@berth/runtime-shim'

/** Throws `unavailable` where the driver is not installed. */
export async function defaultRuntime(): Promise<OpenOciRuntime> {
  try {
    const { shimRuntime } = (await import(driver)) as { shimRuntime: OpenOciRuntime }
    return shimRuntime
  } catch (cause) {
    if (!isErrno(cause, 'ERR_MODULE_NOT_FOUND')) throw cause
    throw new BerthError('unavailable', 'RUNTIME_MISSING', `there is no OCI runtime: ${driver} is not installed, and no other was given`, { cause, hint: `npm install ${driver}` })
  }
}
