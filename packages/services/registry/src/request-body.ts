import type { IncomingMessage } from 'node:http'
import { BrokenConnection, type Call } from './answers.ts'
import { cutBody } from './faults.ts'
import { RegistryProblem } from './registry-problem.ts'

/** Bytes of a refused body that are read, so that the refusal reaches a client that first sends and then listens. */
const maxDiscarded = 8 << 20

/** A request's body; leaving it early leaves the connection, on which the answer goes out. */
export function bodyOf({ request, fault }: Pick<Call, 'request' | 'fault'>): AsyncIterable<Uint8Array> {
  const body: AsyncIterable<Uint8Array> = request.iterator({ destroyOnReturn: false })
  return fault?.kind === 'cut' ? cutBody(body, fault.after, () => new BrokenConnection()) : body
}

/** Throws RegistryProblem 413 for more bytes than the limit. */
export async function readAll(source: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of source) {
    size += chunk.length
    if (size > limit) throw new RegistryProblem(413, 'MANIFEST_INVALID', `manifests of more than ${limit} bytes are not taken`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Reads away what is not wanted, up to a limit. */
export async function discardBody(request: IncomingMessage): Promise<void> {
  let discarded = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      discarded += (chunk as Uint8Array).length
      if (discarded > maxDiscarded) return
    }
  } catch {
    // The client is gone.
  }
}
