/**
 * The small vocabulary that every Berth library shares.
 *
 * @example
 * throw new BerthError('not-found', 'VOLUME_NOT_FOUND', `get ${name}: no such volume`)
 */
export { workInBackground } from './background-thread.ts'
export { BerthError, type BerthErrorOptions, type ErrorKind, isErrno, isKind, kindOf, messageOf } from './errors.ts'
export { type EmitEvent, type EngineEvent, formatNano, nowNano } from './events.ts'
export type { FailPoint } from './fail-point.ts'
export { newId, shortId } from './ids.ts'
export { KeyedMutex, SingleFlight } from './locks.ts'
export { type LogFields, type Logger, silent } from './logger.ts'
export { RecordsLog } from './records-log.ts'
export { type OpenRecordsOptions, openRecords, transact } from './records.ts'
export { serveCalls, WorkerCalls, type WorkerCallsOptions, workerFile, type WorkerJobs } from './worker-calls.ts'
