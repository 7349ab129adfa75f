import { BerthError } from '@berth/core'
import type { OciRuntime } from '@berth/oci-runtime'
import type { Context } from '../context.ts'

/** Names of containerd's runtimes: `io.containerd.<name>.<version>`. */
const shimName = /^io\.containerd\.[a-z0-9_.-]+\.v\d+$/

/** The OCI runtime of a name, if there is one: those that are configured come first, then any shim that the machine has. */
export function findRuntime({ deps }: Pick<Context, 'deps'>, name: string): OciRuntime | undefined {
  return deps.runtimes.get(name) ?? (shimName.test(name) ? deps.findRuntime?.(name) : undefined)
}

/** As {@link findRuntime}; throws `invalid-argument` in Docker's words where there is none. */
export function runtimeOf(ctx: Pick<Context, 'deps'>, name: string): OciRuntime {
  const runtime = findRuntime(ctx, name)
  if (!runtime) throw new BerthError('invalid-argument', 'RUNTIME_UNKNOWN', `unknown or invalid runtime name: ${name}`)
  return runtime
}
