import { type Call, sendContent } from './answers.ts'
import { putManifest } from './manifests.ts'
import type { Parts } from './registry-parts.ts'
import { RegistryProblem } from './registry-problem.ts'
import { bodyOf, readAll } from './request-body.ts'
import type { Route } from './route.ts'

type ManifestRoute = Extract<Route, { to: 'manifest' }>

export async function sendManifest({ records }: Parts, call: Call, { repository, reference }: ManifestRoute): Promise<void> {
  const digest = 'digest' in reference ? reference.digest : records.digestOfTag(repository, reference.tag)
  const manifest = digest === undefined ? undefined : records.manifest(repository, digest)
  if (!digest || !manifest) throw new RegistryProblem(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
  const headers = { 'Content-Type': manifest.mediaType, 'Docker-Content-Digest': digest, ETag: `"${digest}"` }
  await sendContent(call, 200, { headers, length: manifest.bytes.length, body: [manifest.bytes] })
}

export async function acceptManifest({ records, blobs, maxManifestSize }: Parts, call: Call, { repository, reference }: ManifestRoute): Promise<void> {
  const mediaType = (call.request.headers['content-type'] ?? '').split(';')[0]!.trim()
  const bytes = await readAll(bodyOf(call), maxManifestSize)
  const { digest, subject } = putManifest(records, blobs, { repository, reference, mediaType, bytes })
  call.response.writeHead(201, { Location: `/v2/${repository}/manifests/${digest}`, 'Docker-Content-Digest': digest, 'Content-Length': 0, ...(subject && { 'OCI-Subject': subject }) })
  call.response.end()
}

export function deleteManifest({ records }: Parts, { response }: Call, { repository, reference }: ManifestRoute): void {
  const isGone = 'digest' in reference ? records.removeManifest(repository, reference.digest) : records.removeTag(repository, reference.tag)
  if (!isGone) throw new RegistryProblem(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
  response.writeHead(202, { 'Content-Length': 0 }).end()
}
