import { BerthError, type EngineEvent } from '@berth/core'

export type Filters = ReadonlyMap<string, readonly string[]>

type Test = (event: EngineEvent, value: string) => boolean

/** An event about an entity of that type whose ID or name begins with the value. */
function isAbout(type: string): Test {
  return (event, value) => event.type === type && [event.id, event.attributes['name'] ?? ''].some((name) => name.startsWith(value))
}

const withoutTag = (image: string): string => image.replace(/:[^:/]*$/, '')

const tests: Record<string, Test> = {
  type: ({ type }, value) => type === value,
  // `exec_start: sh` is an `exec_start`.
  event: ({ action }, value) => action === value || action.split(':')[0] === value,
  container: isAbout('container'),
  network: isAbout('network'),
  volume: isAbout('volume'),
  plugin: isAbout('plugin'),
  daemon: isAbout('daemon'),
  // Of a swarm; there are no such events here.
  config: isAbout('config'),
  node: isAbout('node'),
  secret: isAbout('secret'),
  service: isAbout('service'),
  image: ({ type, id, attributes }, value) => {
    const names = type === 'image' ? [id, attributes['name'] ?? ''] : [attributes['image'] ?? '']
    return names.some((name) => name === value || withoutTag(name) === value)
  },
  label: ({ attributes }, value) => {
    const at = value.indexOf('=')
    return at < 0 ? value in attributes : attributes[value.slice(0, at)] === value.slice(at + 1)
  },
  scope: (_event, value) => value === 'local',
}

/** Throws `invalid-argument` for a filter that there is not. */
export function checkEventFilters(filters: Filters): void {
  for (const key of filters.keys()) if (!Object.hasOwn(tests, key)) throw new BerthError('invalid-argument', 'FILTER_INVALID', `invalid filter '${key}'`)
}

/** Whether an event has one of the wanted values of every filter, and every wanted label. @see Docker Engine API v1.51, SystemEvents */
export function matchesEvent(event: EngineEvent, filters: Filters): boolean {
  return [...filters].every(([key, values]) => {
    const test = tests[key] ?? (() => false)
    if (key === 'label') return values.every((value) => test(event, value))
    return values.length === 0 || values.some((value) => test(event, value))
  })
}
