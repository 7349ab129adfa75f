import { isKind } from '@berth/core'
import { type Call, sendContent } from './answers.ts'
import { parseByteRange } from './byte-range.ts'
import type { Parts } from './registry-parts.ts'
import { RegistryProblem } from './registry-problem.ts'
import type { Route } from './route.ts'

type BlobRoute = Extract<Route, { to: 'blob' }>

export async function sendBlob({ records, content }: Parts, call: Call, { repository, digest }: BlobRoute): Promise<void> {
  const blob = records.hasBlob(repository, digest) ? await content.stat(digest) : undefined
  if (!blob) throw unknownBlob()
  const { size } = blob
  records.useBlob(repository, digest)
  const isWhole = call.method === 'HEAD' || call.fault?.kind === 'ignored-range'
  const range = isWhole ? undefined : parseByteRange(call.request.headers.range, size)
  if (range === 'unsatisfiable') throw new RegistryProblem(416, 'RANGE_INVALID', 'the range lies behind the end of the blob', { 'Content-Range': `bytes */${size}` })
  const { start, end } = range ?? { start: 0, end: size - 1 }
  const length = end - start + 1
  const body = call.method === 'HEAD' ? [] : await begun(content.read(digest, { offset: start, length }))
  await sendContent(call, range ? 206 : 200, {
    headers: {
      'Content-Type': 'application/octet-stream',
      'Docker-Content-Digest': digest,
      'Accept-Ranges': 'bytes',
      ETag: `"${digest}"`,
      ...(range && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
    },
    length,
    body,
  })
}

export async function deleteBlob({ blobs }: Parts, { response }: Call, { repository, digest }: BlobRoute): Promise<void> {
  await blobs.delete(repository, digest)
  response.writeHead(202, { 'Content-Length': 0 }).end()
}

/** Fails before the first header is sent when the blob was removed meanwhile. */
async function begun(pieces: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = pieces[Symbol.asyncIterator]()
  const first = await iterator.next().catch((error: unknown) => {
    throw isKind(error, 'not-found') ? unknownBlob() : error
  })
  return (async function* () {
    try {
      for (let piece = first; !piece.done; piece = await iterator.next()) yield piece.value
    } finally {
      await iterator.return?.()
    }
  })()
}

function unknownBlob(): RegistryProblem {
  return new RegistryProblem(404, 'BLOB_UNKNOWN', 'blob unknown to registry')
}
