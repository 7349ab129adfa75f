import type { IndexInfo, RegistryServiceConfig } from '@berth/api-types'
import type { EngineOptions } from './engine-options.ts'

/** How registries are spoken to, as `info` shows it. */
export function registryConfig({ insecureRegistries = [], registryMirrors = [] }: EngineOptions): RegistryServiceConfig {
  const hub: IndexInfo = { Name: 'docker.io', Mirrors: [...registryMirrors], Secure: true, Official: true }
  const hosts = insecureRegistries.filter((entry) => !entry.includes('/'))
  return {
    InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', ...insecureRegistries.filter((entry) => entry.includes('/'))],
    IndexConfigs: { 'docker.io': hub, ...Object.fromEntries(hosts.map((Name): [string, IndexInfo] => [Name, { Name, Mirrors: [], Secure: false, Official: false }])) },
    Mirrors: [...registryMirrors],
  }
}
