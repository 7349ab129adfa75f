import { BerthError } from '@berth/core'
import type { ImageBackend } from '../backend.ts'
import { bodyBytes, type Call, type Route } from '../call.ts'
import { bytes, progressLines } from '../streams.ts'

/** Images out to archives and in from them. */
export function imageArchiveRoutes(images: ImageBackend): Route[] {
  const save = async (call: Call, names: string[]): Promise<void> => {
    if (names.length === 0) throw new BerthError('invalid-argument', 'NAMES_MISSING', 'no image names given: names must be given')
    await bytes(call, { 'Content-Type': 'application/x-tar' }, await images.save(names, { platforms: call.query.platforms('platform'), signal: call.signal }))
  }
  return [
    { method: 'GET', path: '/images/get', handler: (call) => save(call, call.query.all('names').filter((name) => name !== '')) },
    { method: 'GET', path: '/images/{name}/get', handler: (call) => save(call, [call.params['name'] ?? '']) },
    {
      method: 'POST',
      path: '/images/load',
      handler: (call) => progressLines(call, images.load(bodyBytes(call), { platforms: call.query.platforms('platform'), quiet: call.query.flag('quiet', true), signal: call.signal })),
    },
  ]
}
