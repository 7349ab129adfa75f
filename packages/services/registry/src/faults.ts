import { setTimeout as delay } from 'node:timers/promises'

/** A misbehaviour of the registry's, for tests of its clients. */
export type Fault =
  /** The request is refused with this status, and nothing is done. */
  | { kind: 'status'; status: number; headers?: Record<string, string> }
  /** The client is sent elsewhere with 307; the path and query are appended to an origin without a path. */
  | { kind: 'redirect'; to: string }
  /** The connection breaks after so many bytes of the answer's body, or of the request's when that has one. */
  | { kind: 'cut'; after: number }
  /** After so many bytes of the answer's body nothing comes any more, until the client goes. */
  | { kind: 'stall'; after: number }
  /** The answer's body comes at this speed. */
  | { kind: 'slow'; bytesPerSecond: number }
  /** The answer's body ends after so many bytes as if it were whole, with a `Content-Length` that agrees. */
  | { kind: 'truncated'; after: number }
  /** The answer's body has its length, and another first byte. */
  | { kind: 'corrupt' }
  /** The answer says that its content has this digest. */
  | { kind: 'wrong-digest'; digest: string }
  /** `Range` is not heard: the whole comes, with 200. */
  | { kind: 'ignored-range' }

/** What a request asks for: a place of the specification, or Docker's catalogue. */
export type RequestTarget = 'base' | 'catalog' | 'tags' | 'manifest' | 'blob' | 'uploads' | 'upload' | 'referrers'

/** Asked once for each request that access control has let pass, before it is answered. */
export interface FaultSource {
  take(request: { method: string; target: RequestTarget; path: string }): Fault | undefined
}

/** The length of an answer's body as a fault makes it. */
export function faultyLength(length: number, fault: Fault | undefined): number {
  return fault?.kind === 'truncated' ? Math.min(length, fault.after) : length
}

/** An answer's body as a fault makes it. `broken` rejects where the connection is to break. */
export async function* faultyBody(body: AsyncIterable<Uint8Array>, fault: Fault, { signal, broken }: { signal: AbortSignal; broken: () => Promise<never> }): AsyncGenerator<Uint8Array, void, undefined> {
  const limit = fault.kind === 'cut' || fault.kind === 'stall' || fault.kind === 'truncated' ? fault.after : Infinity
  let sent = 0
  for await (const chunk of body) {
    const piece = chunk.subarray(0, limit - sent)
    if (fault.kind === 'slow') yield* slowly(piece, fault.bytesPerSecond, signal)
    else yield fault.kind === 'corrupt' && sent === 0 ? corrupted(piece) : piece
    sent += piece.length
    if (sent === limit) break
  }
  if (fault.kind === 'cut') await broken()
  if (fault.kind === 'stall') await delay(2 ** 31 - 1, undefined, { signal, ref: false })
}

/** A request's body whose connection breaks after so many bytes. */
export async function* cutBody(body: AsyncIterable<Uint8Array>, after: number, cut: () => Error): AsyncGenerator<Uint8Array, void, undefined> {
  let received = 0
  for await (const chunk of body) {
    const piece = chunk.subarray(0, after - received)
    received += piece.length
    yield piece
    if (received === after) throw cut()
  }
}

async function* slowly(piece: Uint8Array, bytesPerSecond: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  const step = Math.max(Math.floor(bytesPerSecond / 20), 1)
  for (let at = 0; at < piece.length; at += step) {
    yield piece.subarray(at, at + step)
    await delay(50, undefined, { signal })
  }
}

function corrupted(piece: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(piece)
  if (copy.length > 0) copy[0] = copy[0]! ^ 0xff
  return copy
}
