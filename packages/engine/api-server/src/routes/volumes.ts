import type { VolumeBackend } from '../backend.ts'
import { body, type Call, json, noContent, type Route } from '../call.ts'

const nameOf = ({ params }: Call): string => params['name'] ?? ''

export function volumeRoutes(volumes: VolumeBackend): Route[] {
  return [
    { method: 'GET', path: '/volumes', handler: async (call) => json(call, 200, await volumes.list(call.query.filters())) },
    { method: 'POST', path: '/volumes/create', handler: async (call) => json(call, 201, await volumes.create(await body(call, 'VolumeCreateOptions', { optional: true }))) },
    { method: 'GET', path: '/volumes/{name}', handler: async (call) => json(call, 200, await volumes.inspect(nameOf(call))) },
    {
      method: 'DELETE',
      path: '/volumes/{name}',
      handler: async (call) => {
        await volumes.remove(nameOf(call), { force: call.query.flag('force') })
        noContent(call)
      },
    },
    { method: 'POST', path: '/volumes/prune', handler: async (call) => json(call, 200, await volumes.prune(call.query.filters())) },
  ]
}
