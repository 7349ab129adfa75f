import { BerthError, isKind, messageOf } from '@berth/core'
import type { ImageBackend, ProgressMessage } from '../backend.ts'
import { bodyBytes, type Call, json, type Route } from '../call.ts'
import { registryAuth } from '../registry-auth.ts'
import { progressLines } from '../streams.ts'

const nameOf = ({ params }: Call): string => params['name'] ?? ''

/**
 * As dockerd, does not tell what may not be pulled from what there is not: 401 would make the command line of docker ask for a password, and wait for it
 * also where nobody is.
 */
async function* deniedAsMissing(image: string, messages: AsyncIterable<ProgressMessage>): AsyncIterable<ProgressMessage> {
  try {
    yield* messages
  } catch (error) {
    if (!isKind(error, 'unauthenticated') && !isKind(error, 'permission-denied')) throw error
    throw new BerthError('not-found', 'PULL_DENIED', `pull access denied for ${image}, repository does not exist or may require 'docker login': ${messageOf(error)}`, { cause: error })
  }
}

export function imageRoutes(images: ImageBackend): Route[] {
  return [
    {
      method: 'GET',
      path: '/images/json',
      handler: async (call) => {
        const { query } = call
        json(call, 200, await images.list({ all: query.flag('all'), digests: query.flag('digests'), sharedSize: query.flag('shared-size'), manifests: query.flag('manifests'), filters: query.filters() }))
      },
    },
    {
      method: 'POST',
      path: '/images/create',
      handler: async (call) => {
        const { query, signal } = call
        const image = query.text('fromImage')
        if (image !== undefined) {
          const messages = images.pull({ image, tag: query.text('tag'), platform: query.platform('platform'), auth: registryAuth(call), signal })
          return progressLines(call, deniedAsMissing(image, messages))
        }
        const source = query.text('fromSrc')
        if (source === undefined) throw new BerthError('invalid-argument', 'SOURCE_MISSING', 'either fromImage or fromSrc must be given')
        if (source !== '-') throw new BerthError('not-implemented', 'IMPORT_URL', 'importing from a URL is not supported: send the archive itself')
        const options = { source: bodyBytes(call), repo: query.text('repo'), tag: query.text('tag'), message: query.text('message'), changes: query.all('changes'), platform: query.platform('platform'), signal }
        return progressLines(call, images.import(options))
      },
    },
    {
      method: 'GET',
      path: '/images/{name}/json',
      handler: async (call) => {
        const [platform, manifests] = [call.query.platform('platform'), call.query.flag('manifests')]
        if (manifests && platform !== undefined) throw new BerthError('invalid-argument', 'OPTIONS_CONFLICT', 'conflicting options: manifests and platform options cannot both be set')
        json(call, 200, await images.inspect(nameOf(call), { platform, manifests }))
      },
    },
    { method: 'GET', path: '/images/{name}/history', handler: async (call) => json(call, 200, await images.history(nameOf(call), { platform: call.query.platform('platform') })) },
    {
      method: 'POST',
      path: '/images/{name}/push',
      handler: (call) =>
        progressLines(call, images.push({ image: nameOf(call), tag: call.query.text('tag'), platform: call.query.platform('platform'), auth: registryAuth(call), signal: call.signal })),
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
      handler: async (call) => json(call, 200, await images.remove(nameOf(call), { force: call.query.flag('force'), noPrune: call.query.flag('noprune'), platforms: call.query.platforms('platforms') })),
    },
    { method: 'POST', path: '/images/prune', handler: async (call) => json(call, 200, await images.prune(call.query.filters())) },
  ]
}
