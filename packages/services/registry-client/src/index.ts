/**
 * A client of OCI registries: manifests and blobs, verified and resumed, in and out.
 *
 * @example
 * const registry = new RegistryClient()
 * const { bytes } = await registry.manifest(parseReference('127.0.0.1:5000/app:1'), { signal })
 */
export { RegistryClient, type RegistryCall, type RegistryClientOptions } from './registry-client.ts'
