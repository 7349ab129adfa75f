import type { AuthConfig } from '@berth/api-types'
import { parseRequest } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { ImageBackend } from '../backend.ts'
import { type Call, json, type Route } from '../call.ts'
import { progressLines } from '../streams.ts'

const nameOf = ({ params }: Call): string => params['name'] ?? ''

/** Credentials as Docker's clients send them. Throws without repeating what was sent. */
function registryAuth({ request }: Call): AuthConfig | undefined {
  const header = request.headers['x-registry-auth']
  if (typeof header !== 'string' || header === '') return undefined
  try {
    const text = Buffer.from(header, 'base64url').toString()
    return text === '' ? undefined : parseRequest('AuthConfig', JSON.parse(text))
  } catch {
    throw new BerthError('invalid-argument', 'REGISTRY_AUTH_INVALID', 'invalid X-Registry-Auth header: invalid JSON')
  }
}

export function imageRoutes(images: ImageBackend): Route[] {
  return [
    {
      method: 'GET',
      path: '/images/json',
      handler: async (call) => {
        const { query } = call
        json(call, 200, await images.list({ all: query.flag('all'), digests: query.flag('digests'), sharedSize: query.flag('shared-size'), filters: query.filters() }))
      },
    },
    {
      method: 'POST',
      path: '/images/create',
      handler: async (call) => {
        const { query, signal } = call
        const image = query.text('fromImage')
        if (image !== undefined) {
          return progressLines(call, images.pull({ image, tag: query.text('tag'), platform: query.text('platform'), auth: registryAuth(call), signal }))
        }
        const source = query.text('fromSrc')
        if (source === undefined) throw new BerthError('invalid-argument', 'SOURCE_MISSING', 'either fromImage or fromSrc must be given')
        if (source !== '-') throw new BerthError('not-implemented', 'IMPORT_URL', 'importing from a URL is not supported: send the archive itself')
        const options = { source: call.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>, repo: query.text('repo'), tag: query.text('tag'), message: query.text('message'), changes: query.all('changes'), platform: query.text('platform'), signal }
        return progressLines(call, images.import(options))
      },
    },
    { method: 'GET', path: '/images/{name}/json', handler: async (call) => json(call, 200, await images.inspect(nameOf(call))) },
    { method: 'GET', path: '/images/{name}/history', handler: async (call) => json(call, 200, await images.history(nameOf(call))) },
    {
      method: 'POST',
      path: '/images/{name}/push',
      handler: (call) =>
        progressLines(call, images.push({ image: nameOf(call), tag: call.query.text('tag'), platform: call.query.text('platform'), auth: registryAuth(call), signal: call.signal })),
    },
    {
      method: 'POST',
      path: '/images/{name}/tag',
      handler: async (call) => {
        await images.tag(nameOf(call), { repo: call.query.text('repo') ?? '', tag: call.query.text('tag') })
        call.response.writeHead(201).end()
      },
    },
    {
      method: 'DELETE',
      path: '/images/{name}',
      handler: async (call) => json(call, 200, await images.remove(nameOf(call), { force: call.query.flag('force'), noPrune: call.query.flag('noprune') })),
    },
    { method: 'POST', path: '/images/prune', handler: async (call) => json(call, 200, await images.prune(call.query.filters())) },
  ]
}
