/**
 * A small OCI registry in a directory: for tests, quick starts and places without a network.
 *
 * @example
 * await using registry = await startRegistry({ root: '/var/lib/registry', port: 5000 })
 * console.log(`push to ${registry.address}/app:1`)
 */
export type { AccessControl, AccessRefusal, AccessRequest, AccessScope } from './access.ts'
export type { Collected } from './blobs.ts'
export type { Fault, FaultSource, RequestTarget } from './faults.ts'
export { type CollectOptions, openRegistry, type Registry, type RegistryOptions } from './registry.ts'
export { type RegistryTls, type RunningRegistry, startRegistry, type StartRegistryOptions } from './start-registry.ts'
