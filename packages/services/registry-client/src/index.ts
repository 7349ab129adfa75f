/**
 * A client of OCI registries: manifests and blobs, verified and resumed, in and out.
 *
 * @example
 * await using registry = new RegistryClient()
 * const { bytes } = await registry.manifest(parseReference('127.0.0.1:5000/app:1'), { signal })
 */
export type { RegistryAuth } from './authorizer.ts'
export { type RegistryCall, RegistryClient, type RegistryClientOptions } from './registry-client.ts'
