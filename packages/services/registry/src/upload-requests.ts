import { type Call, sendCreated, sendProgress } from './answers.ts'
import type { Parts } from './registry-parts.ts'
import { RegistryProblem } from './registry-problem.ts'
import { bodyOf } from './request-body.ts'
import { checkName, digestOf, type Route } from './route.ts'

type UploadRoute = Extract<Route, { to: 'upload' }>

/** Begins an upload, takes a whole blob in one request (`digest`), or gives the repository a blob of another (`mount`), which becomes an upload when that has none. */
export async function beginUpload({ blobs, uploads }: Parts, call: Call, { repository }: Extract<Route, { to: 'uploads' }>): Promise<void> {
  const { response, query } = call
  const mounted = query.get('mount')
  const from = query.get('from')
  if (mounted !== null && blobs.mount(repository, digestOf(mounted), from === null ? undefined : checkName(from))) return sendCreated(response, repository, mounted)
  const digest = query.get('digest')
  if (digest !== null) digestOf(digest)
  const id = await uploads.begin(repository)
  if (digest === null) return sendProgress(response, 202, { repository, id, size: 0 })
  try {
    await uploads.finish(id, repository, { digest, source: bodyOf(call) })
  } catch (error) {
    // Nobody but this request knows of the upload.
    await uploads.cancel(id, repository).catch(() => {})
    throw error
  }
  sendCreated(response, repository, digest)
}

export async function sendUploadStatus({ uploads }: Parts, { response }: Call, { repository, id }: UploadRoute): Promise<void> {
  sendProgress(response, 204, { repository, id, size: await uploads.size(id, repository) })
}

export async function appendUpload({ uploads }: Parts, call: Call, { repository, id }: UploadRoute): Promise<void> {
  const size = await uploads.append(id, repository, { source: bodyOf(call), start: startOf(call.request.headers['content-range']) })
  sendProgress(call.response, 202, { repository, id, size })
}

export async function finishUpload({ uploads }: Parts, call: Call, { repository, id }: UploadRoute): Promise<void> {
  const digest = digestOf(call.query.get('digest') ?? '')
  await uploads.finish(id, repository, { digest, source: bodyOf(call), start: startOf(call.request.headers['content-range']) })
  sendCreated(call.response, repository, digest)
}

export async function cancelUpload({ uploads }: Parts, { response }: Call, { repository, id }: UploadRoute): Promise<void> {
  await uploads.cancel(id, repository)
  response.writeHead(204).end()
}

/** Where a part of an upload begins, by its `Content-Range` (`0-1023`, without a unit). */
function startOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const [, start] = /^(?:bytes[ =])?(\d{1,15})-\d{1,15}(?:\/\S+)?$/.exec(header) ?? []
  if (start === undefined) throw new RegistryProblem(416, 'RANGE_INVALID', 'invalid content range')
  return Number(start)
}
