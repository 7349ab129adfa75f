/**
 * A client of the Docker Engine API: of Berth's daemon, and of any other engine that speaks it.
 *
 * @example
 * await using engine = await connectEngine({ host: 'unix:///run/berth/berth.sock' })
 * for await (const { status } of engine.images.pull('registry.example/app')) console.log(status)
 */
export type { CheckpointPlace, CreateCheckpointOptions } from './areas/checkpoints.ts'
export type { AttachOptions, CommitOptions, CreateContainerOptions, ListContainersOptions, LogsOptions, StartOptions, StopOptions, WriteArchiveOptions } from './areas/containers.ts'
export type { TerminalSize } from './areas/execs.ts'
export type { ImportOptions, ListImagesOptions, LoadMessage, LoadOptions, PlatformsOptions, PullOptions, SearchOptions, TransferOptions } from './areas/images.ts'
export type { EventsOptions } from './areas/system.ts'
export { connectEngine, type ConnectOptions, type EngineClient } from './engine-client.ts'
export type { Filters } from './filters.ts'
export type { OutputChunk } from './output-frames.ts'
export { isDirectory, isSymbolicLink, type PathStat } from './path-stat.ts'
export type { ProcessConnection } from './process-connection.ts'
export type { TlsOptions } from './open-agent.ts'
export type { RequestOptions } from './transport.ts'
export { type EngineAddress, parseHost } from './address.ts'
