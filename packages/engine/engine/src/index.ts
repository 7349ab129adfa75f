/**
 * A whole container engine in one call, without HTTP: the default composition of Berth's libraries.
 *
 * @example
 * await using engine = await createEngine({ dataRoot: '/var/lib/berth', execRoot: '/run/berth' })
 * const { Id } = await engine.containers.create('web', { Image: 'busybox', Cmd: ['true'] }, {})
 * await engine.containers.start(Id)
 */
export { createEngine, type Engine } from './create-engine.ts'
export type { EngineOptions } from './engine-options.ts'
export type { EventsOptions } from './event-hub.ts'
export type { Filters } from './event-filters.ts'
export type { EngineImages, SearchOptions } from './images.ts'
export type { ProgramSettings, RuntimeSettings, ShimSettings } from './runtimes.ts'
export type { DiskUsageType, System } from './system.ts'
