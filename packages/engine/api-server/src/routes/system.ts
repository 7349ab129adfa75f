import { BerthError, type EngineEvent } from '@berth/core'
import type { DiskUsageType, SystemBackend } from '../backend.ts'
import { body, json, type Route } from '../call.ts'
import type { Query } from '../query.ts'
import { jsonLines } from '../streams.ts'

const diskUsageTypes: readonly DiskUsageType[] = ['container', 'image', 'volume', 'build-cache']

function diskUsageType(text: string): DiskUsageType {
  const type = diskUsageTypes.find((known) => known === text)
  if (!type) throw new BerthError('invalid-argument', 'TYPE_INVALID', `unknown object type: ${text}`)
  return type
}

export function systemRoutes(system: SystemBackend): Route[] {
  return [
    { method: 'GET', path: '/version', handler: async (call) => json(call, 200, await system.version()) },
    { method: 'GET', path: '/info', handler: async (call) => json(call, 200, await system.info()) },
    { method: 'GET', path: '/system/df', handler: async (call) => json(call, 200, await system.diskUsage({ types: call.query.all('type').filter((type) => type !== '').map(diskUsageType) })) },
    { method: 'POST', path: '/auth', handler: async (call) => json(call, 200, await system.auth(await body(call, 'AuthConfig'))) },
    {
      method: 'GET',
      path: '/events',
      handler: (call) => {
        const { query, signal } = call
        const [since, until] = [eventTime(query, 'since'), eventTime(query, 'until')]
        if (since !== undefined && until !== undefined && until < since) {
          throw new BerthError('invalid-argument', 'TIMES_INVALID', `\`since\` time (${query.text('since')}) cannot be after \`until\` time (${query.text('until')})`)
        }
        return jsonLines(call, messages(system.events({ since, until, filters: query.filters(), signal })))
      },
    },
  ]
}

/** Here 0 is the beginning of time, not the absence of one. */
function eventTime(query: Query, name: string): bigint | undefined {
  return query.text(name) === '0' ? 0n : query.time(name)
}

async function* messages(events: AsyncIterable<EngineEvent>): AsyncIterable<object> {
  for await (const event of events) yield eventMessage(event)
}

/** A whole number in JSON that a double does not hold. */
const exact = (value: bigint): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(value))

/** With the members that clients before 1.22 knew, for those that still read them. */
function eventMessage({ type, action, id, attributes, timeNano }: EngineEvent): object {
  const legacy = type === 'container' || type === 'image' ? { status: action, id, ...(attributes['image'] ? { from: attributes['image'] } : {}) } : {}
  return { ...legacy, Type: type, Action: action, Actor: { ID: id, Attributes: attributes }, scope: 'local', time: Number(timeNano / 1_000_000_000n), timeNano: exact(timeNano) }
}

