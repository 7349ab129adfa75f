/**
 * Something that happened to an entity, as the Engine API's `/events` tells it.
 * @see Docker Engine API v1.51, `EventMessage`
 */
export interface EngineEvent {
  type: 'container' | 'image' | 'network' | 'volume' | 'daemon' | 'plugin' | 'builder'
  /** `create`, `start`, `die`, `exec_start: sh`, … */
  action: string
  /** ID or name of the entity. */
  id: string
  /** Labels and particulars (`name`, `image`, `exitCode`), all strings. */
  attributes: Record<string, string>
  /** Nanoseconds since the epoch. */
  timeNano: bigint
}

/** How a service reports events; must not throw and must not wait. */
export type EmitEvent = (event: EngineEvent) => void

/** The time now in nanoseconds since the epoch, to the microsecond. */
export function nowNano(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n
}

/** Nanoseconds since the epoch as RFC 3339 with nine decimals in UTC, the form of every time in the Engine API. */
export function formatNano(time: bigint): string {
  const seconds = new Date(Number(time / 1_000_000n)).toISOString().slice(0, 19)
  return `${seconds}.${String(time % 1_000_000_000n).padStart(9, '0')}Z`
}
