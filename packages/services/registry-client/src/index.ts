/**
 * A client of OCI registries: manifests and blobs, verified and resumed, in and out.
 *
 * @example
 * await using registry = new RegistryClient()
 * const { bytes } = await registry.manifest(parseReference('127.0.0.1:5000/app:1'), { signal })
 */
export { type CredentialsOf, dockerCredentials, type DockerCredentialsOptions } from './docker-credentials.ts'
export { readCertsDirs } from './read-certs-dirs.ts'
export { parseRegistryAuth, type RegistryAuth } from './registry-auth.ts'
export { RegistryClient, type RegistryClientOptions } from './registry-client.ts'
export type { Capability, RegistryHost, RegistryHosts, RegistryHostsOf } from './registry-hosts.ts'
export type { RegistryCall } from './registry-session.ts'
