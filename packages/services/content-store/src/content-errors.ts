import { BerthError, isErrno } from '@berth/core'

export function contentNotFound(digest: string): BerthError {
  return new BerthError('not-found', 'CONTENT_NOT_FOUND', `content ${digest} is not here`)
}

export function digestMismatch(digest: string): BerthError {
  return new BerthError('data-loss', 'DIGEST_MISMATCH', `content of ${digest} could not be verified: it has another digest`)
}

export function sizeMismatch(digest: string, actual: number, expected: number): BerthError {
  return new BerthError('data-loss', 'SIZE_MISMATCH', `content of ${digest} could not be verified: ${actual} instead of ${expected} bytes`)
}

export function ingestBusy(key: string): BerthError {
  return new BerthError('conflict', 'INGEST_BUSY', `ingest ${key} is being written`)
}

export function ingestOver(key: string): BerthError {
  return new BerthError('conflict', 'INGEST_OVER', `ingest ${key} is over`)
}

export function storeClosed(): BerthError {
  return new BerthError('cancelled', 'CONTENT_STORE_CLOSED', 'the content store was closed')
}

/** A full disk in the words of this library; anything else as it is. */
export function asStorageError(error: unknown): unknown {
  if (!isErrno(error, 'ENOSPC', 'EDQUOT')) return error
  return new BerthError('resource-exhausted', 'NO_SPACE', 'no space left on device while storing content', { cause: error })
}
