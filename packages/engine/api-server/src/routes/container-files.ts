import { addAbortSignal, pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { BerthError } from '@berth/core'
import type { ContainerBackend, PathStat } from '../backend.ts'
import { body, bodyBytes, type Call, json, type Route } from '../call.ts'
import { bytes } from '../streams.ts'

const idOf = ({ params }: Call): string => params['id'] ?? ''

function pathOf({ query }: Call): string {
  const path = query.text('path')
  if (path === undefined) throw new BerthError('invalid-argument', 'PATH_MISSING', 'bad parameter: path cannot be empty')
  return path
}

const statHeader = (stat: PathStat): Record<string, string> => ({ 'X-Docker-Container-Path-Stat': Buffer.from(JSON.stringify(stat)).toString('base64') })

/** Whether a client takes gzip. Without the header it takes anything, but as it does not say so it gets what it can surely read. @see RFC 9110, section 12.5.3 */
function takesGzip({ request }: Call): boolean {
  const accepted = String(request.headers['accept-encoding'] ?? '').toLowerCase()
  return accepted.split(',').some((part) => /^\s*(gzip|x-gzip)\s*(;|$)/.test(part) && !/;\s*q=0(\.0*)?\s*$/.test(part))
}

/** Compressed on other threads; ends with the source's error, and the source with it. */
function compressed(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const gzip = createGzip({ level: 1 }) // the connection is mostly this machine's own
  return pipeline(addAbortSignal(signal, Readable.from(source, { objectMode: false })), gzip, () => {})
}

/** A container's files: what they are, out of it, and into it. */
export function containerFileRoutes(containers: ContainerBackend): Route[] {
  return [
    {
      method: 'HEAD',
      path: '/containers/{id}/archive',
      handler: async (call) => {
        call.response.writeHead(200, statHeader(await containers.statPath(idOf(call), pathOf(call)))).end()
      },
    },
    {
      method: 'GET',
      path: '/containers/{id}/archive',
      handler: async (call) => {
        const { signal } = call
        const { stat, archive } = await containers.readArchive(idOf(call), pathOf(call), { signal })
        const headers = { 'Content-Type': 'application/x-tar', ...statHeader(stat) }
        if (takesGzip(call)) await bytes(call, { ...headers, 'Content-Encoding': 'gzip' }, compressed(archive, signal))
        else await bytes(call, headers, archive)
      },
    },
    {
      method: 'PUT',
      path: '/containers/{id}/archive',
      handler: async (call) => {
        const { query, signal } = call
        await containers.writeArchive(idOf(call), pathOf(call), bodyBytes(call), { noOverwriteDirNonDir: query.flag('noOverwriteDirNonDir'), copyUidGid: query.flag('copyUIDGID'), signal })
        call.response.writeHead(200).end()
      },
    },
    {
      method: 'POST',
      path: '/commit',
      handler: async (call) => {
        const { query, signal } = call
        const config = await body(call, 'ContainerConfig', { optional: true })
        const committed = await containers.commit(query.text('container') ?? '', {
          repo: query.text('repo'),
          tag: query.text('tag'),
          comment: query.text('comment'),
          author: query.text('author'),
          pause: query.flag('pause', true),
          changes: query.all('changes'),
          config,
          signal,
        })
        json(call, 201, committed)
      },
    },
  ]
}
