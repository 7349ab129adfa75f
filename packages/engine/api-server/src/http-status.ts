import { type ErrorKind, kindOf } from '@berth/core'

const statuses: Record<ErrorKind, number> = {
  'invalid-argument': 400,
  unauthenticated: 401,
  'permission-denied': 403,
  'not-found': 404,
  'already-exists': 409,
  conflict: 409,
  'not-modified': 304,
  'resource-exhausted': 429,
  'deadline-exceeded': 504,
  cancelled: 499,
  unavailable: 503,
  'not-implemented': 501,
  'data-loss': 500,
  internal: 500,
}

/** The one place where kinds of errors become HTTP statuses. */
export function statusOf(error: unknown): number {
  return statuses[kindOf(error)]
}
