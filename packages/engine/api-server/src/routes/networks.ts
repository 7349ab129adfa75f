import type { NetworkBackend } from '../backend.ts'
import { body, type Call, json, noContent, type Route } from '../call.ts'

const idOf = ({ params }: Call): string => params['id'] ?? ''

export function networkRoutes(networks: NetworkBackend): Route[] {
  return [
    { method: 'GET', path: '/networks', handler: async (call) => json(call, 200, await networks.list(call.query.filters())) },
    { method: 'POST', path: '/networks/create', handler: async (call) => json(call, 201, await networks.create(await body(call, 'NetworkCreateRequest'))) },
    {
      method: 'GET',
      path: '/networks/{id}',
      handler: async (call) => json(call, 200, await networks.inspect(idOf(call), { verbose: call.query.flag('verbose'), scope: call.query.text('scope') })),
    },
    {
      method: 'DELETE',
      path: '/networks/{id}',
      handler: async (call) => {
        await networks.remove(idOf(call))
        noContent(call)
      },
    },
    {
      method: 'POST',
      path: '/networks/{id}/connect',
      handler: async (call) => {
        await networks.connect(idOf(call), await body(call, 'NetworkConnectRequest'))
        call.response.writeHead(200).end()
      },
    },
    {
      method: 'POST',
      path: '/networks/{id}/disconnect',
      handler: async (call) => {
        await networks.disconnect(idOf(call), await body(call, 'NetworkDisconnectRequest'))
        call.response.writeHead(200).end()
      },
    },
    { method: 'POST', path: '/networks/prune', handler: async (call) => json(call, 200, await networks.prune(call.query.filters())) },
  ]
}
