import type { OciRuntime } from '@berth/oci-runtime'
import { ShimRuntime, type ShimRuntimeOptions } from './shim-runtime.ts'

export type { ShimRuntimeOptions } from './shim-runtime.ts'

/**
 * An OCI runtime that runs each task under a containerd shim, which outlives this process.
 *
 * @example
 * await using runtime = shimRuntime({ stateDir: '/run/berth/runtime' })
 * const task = await runtime.create({ id, bundle, rootfs: mounts, stdio: { terminal: false, stdin: false } })
 * await task.start()
 */
export function shimRuntime(options: ShimRuntimeOptions): OciRuntime {
  return new ShimRuntime(options)
}
