import { BerthError } from '@berth/core'
import type { ImageBackend } from '../backend.ts'
import { json, type Route } from '../call.ts'
import { registryAuth } from '../registry-auth.ts'

/** What registries have, without pulling it. */
export function registryRoutes(images: ImageBackend): Route[] {
  return [
    {
      method: 'GET',
      path: '/images/search',
      handler: async (call) => {
        const { query, signal } = call
        const term = query.text('term')
        if (term === undefined) throw new BerthError('invalid-argument', 'TERM_MISSING', 'bad parameter: term cannot be empty')
        json(call, 200, await images.search(term, { limit: query.integer('limit'), filters: query.filters(), auth: registryAuth(call), signal }))
      },
    },
    { method: 'GET', path: '/distribution/{name}/json', handler: async (call) => json(call, 200, await images.distribution(call.params['name'] ?? '', { auth: registryAuth(call), signal: call.signal })) },
  ]
}
