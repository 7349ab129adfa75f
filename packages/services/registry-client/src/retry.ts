/** How often a request is tried. */
export const maxAttempts = 5
/** Who asks to come back later than this, in milliseconds, is not waited for. */
const maxWait = 30_000

/** Statuses of servers that may be well a moment later. */
export function isPassing(status: number): boolean {
  return [408, 429, 500, 502, 503, 504].includes(status)
}

/** Milliseconds before the next try: twice as long after each, give or take a half, so that clients do not come back all at once. */
export function backOff(attempts: number, base: number): number {
  return base * 2 ** (attempts - 1) * (0.5 + Math.random())
}

/**
 * How long a server asks to wait, in milliseconds: undefined if it does not say, `too-long` if that is no use.
 * @see RFC 9110, section 10.2.3: seconds, or an HTTP date
 */
export function retryAfter(header: string | undefined, now = Date.now()): number | 'too-long' | undefined {
  if (header === undefined) return undefined
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  if (Number.isNaN(wait)) return undefined
  return wait > maxWait ? 'too-long' : Math.max(wait, 0)
}
