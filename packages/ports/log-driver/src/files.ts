/**
 * Logs in files, for those who write a driver: {@link FileLog} with a {@link RecordFormat} of one's own is a whole {@link Log}, with rotation, compression,
 * reading from the end, followers, and nothing lost when the engine is killed or the disk is full.
 */
export { FileLog, type FileLogOptions } from './files/file-log.ts'
export { parseRotation, type Rotation, rotationOptions } from './files/rotation.ts'
export type { RecordFormat } from './files/record-format.ts'
