/**
 * An engine in memory behind the API's interfaces, for tests of the server, of clients and of the command line: its containers run a handful of
 * programs (`echo`, `cat`, `exit 3`, `sleep`, …) inside this process.
 *
 * @example
 * await using server = new ApiServer({ backend: memoryBackend() })
 */
import { apiVersion, minApiVersion } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { Backend, DiskUsageType, SystemBackend } from './backend.ts'
import { MemoryCheckpoints } from './memory/checkpoints.ts'
import { MemoryContainers, MemoryExecs } from './memory/containers.ts'
import { MemoryEvents } from './memory/events.ts'
import { MemoryImages } from './memory/images.ts'
import { MemoryNetworks } from './memory/networks.ts'
import { MemoryVolumes } from './memory/volumes.ts'

/** Has one image, `busybox`, and one network, `bridge`. */
export function memoryBackend(): Backend {
  const events = new MemoryEvents()
  const images = new MemoryImages('busybox')
  const containers = new MemoryContainers(events, images)
  const volumes = new MemoryVolumes()
  const everything = { all: true, size: false, filters: new Map() }
  const system: SystemBackend = {
    version: async () => ({ Version: '0.1.0', ApiVersion: apiVersion, MinAPIVersion: minApiVersion, Os: 'linux', Arch: 'amd64', Platform: { Name: 'Berth' } }),
    info: async () => {
      const all = await containers.list(everything)
      return { ID: 'memory', Name: 'memory', ServerVersion: '0.1.0', Containers: all.length, ContainersRunning: all.filter(({ State }) => State === 'running').length, Driver: 'memory', MemTotal: 1 << 30, NCPU: 2 }
    },
    diskUsage: async ({ types }) => {
      const wants = (type: DiskUsageType): boolean => types.length === 0 || types.includes(type)
      return {
        LayersSize: 0,
        ...(wants('image') ? { Images: await images.list() } : {}),
        ...(wants('container') ? { Containers: await containers.list(everything) } : {}),
        ...(wants('volume') ? { Volumes: (await volumes.list()).Volumes ?? [] } : {}),
        ...(wants('build-cache') ? { BuildCache: [] } : {}),
      }
    },
    events: (options) => events.listen(options),
    auth: async ({ username, password }) => {
      if (password === 'wrong') throw new BerthError('unauthenticated', 'CREDENTIALS_REFUSED', 'login attempt to https://registry.test/v2/ failed with status: 401 Unauthorized')
      return { Status: 'Login Succeeded', IdentityToken: username === 'token' ? 'identity' : '' }
    },
  }
  return { system, containers, execs: new MemoryExecs(containers), checkpoints: new MemoryCheckpoints(containers), images, networks: new MemoryNetworks(), volumes }
}
