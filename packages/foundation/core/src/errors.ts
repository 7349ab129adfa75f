/**
 * What went wrong, as a closed set (after containerd's errdefs). A caller decides by the kind; `code` names the exact
 * case and stays stable between releases; only the API server maps kinds to HTTP statuses.
 */
export type ErrorKind =
  | 'invalid-argument'
  | 'not-found'
  | 'already-exists'
  | 'conflict'
  | 'not-modified'
  | 'permission-denied'
  | 'unauthenticated'
  | 'resource-exhausted'
  | 'deadline-exceeded'
  | 'cancelled'
  | 'unavailable'
  | 'data-loss'
  | 'not-implemented'
  | 'internal'

export interface BerthErrorOptions {
  /** The failure underneath; kept for logs, never shown to API clients. */
  cause?: unknown
  /** What the reader can do about it, one sentence. */
  hint?: string
}

/** The one error type that crosses a package boundary. Its message is written for the user and holds no secret. */
export class BerthError extends Error {
  readonly kind: ErrorKind
  /** Stable, in capitals: `IMAGE_NOT_FOUND`. */
  readonly code: string
  readonly hint: string | undefined

  constructor(kind: ErrorKind, code: string, message: string, options: BerthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'BerthError'
    this.kind = kind
    this.code = code
    this.hint = options.hint
  }
}

/** The kind of any thrown value: a BerthError's own, `cancelled` for aborts, else `internal`. */
export function kindOf(error: unknown): ErrorKind {
  if (error instanceof BerthError) return error.kind
  if (error instanceof Error && error.name === 'AbortError') return 'cancelled'
  if (error instanceof Error && error.name === 'TimeoutError') return 'deadline-exceeded'
  return 'internal'
}

export function isKind(error: unknown, ...kinds: ErrorKind[]): boolean {
  return kinds.includes(kindOf(error))
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether a thrown value is a Node system error with one of these codes (`ENOENT`). */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '')
}
