import { Encoder, ExtData } from '@msgpack/msgpack'
import type { LogEntry } from '@berth/log-driver'

const encoder = new Encoder({ useBigInt64: true })
const nanosecondsPerSecond = 1_000_000_000n
/** The extension type of a time with nanoseconds. */
const eventTimeType = 0

export type FluentRecord = Readonly<Record<string, string | Uint8Array>>

/** A message in forward mode: entries of one tag, and the ID to acknowledge them by. @see https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1 */
export function encodeForward(tag: string, entries: readonly [time: LogEntry['time'], record: FluentRecord][], { chunk, subSecond }: { chunk: string | undefined; subSecond: boolean }): Uint8Array {
  const events = entries.map(([time, record]) => [subSecond ? eventTime(time) : Number(time / nanosecondsPerSecond), record])
  return encoder.encode([tag, events, { size: events.length, ...(chunk !== undefined && { chunk }) }])
}

function eventTime(time: bigint): ExtData {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(Number(time / nanosecondsPerSecond), 0)
  bytes.writeUInt32BE(Number(time % nanosecondsPerSecond), 4)
  return new ExtData(eventTimeType, bytes)
}
