import { once } from 'node:events'
import { BerthError, formatNano } from '@berth/core'
import type { ContainerBackend } from '../backend.ts'
import type { Call, Route } from '../call.ts'
import { serveAttachment } from '../hijack.ts'
import { OutputBatch } from '../output-batch.ts'

async function logs(call: Call, containers: ContainerBackend): Promise<void> {
  const { query, signal, response } = call
  const [stdout, stderr] = [query.flag('stdout'), query.flag('stderr')]
  if (!stdout && !stderr) throw new BerthError('invalid-argument', 'LOGS_NOTHING', 'Bad parameters: you must choose at least one stream')
  const tail = query.text('tail')
  const { tty, entries } = await containers.logs(call.params['id'] ?? '', {
    stdout,
    stderr,
    follow: query.flag('follow'),
    since: query.time('since'),
    until: query.time('until'),
    // As in Docker, anything but a number of lines is all of them.
    tail: tail !== undefined && /^\d{1,9}$/.test(tail) ? Number(tail) : undefined,
    signal,
  })
  const timestamps = query.flag('timestamps')
  response.writeHead(200, { 'Content-Type': `application/vnd.docker.${tty || call.version < 42 ? 'raw-stream' : 'multiplexed-stream'}` })
  response.flushHeaders()
  const batch = new OutputBatch(response, tty)
  for await (const { stream, time, line } of entries) {
    batch.add(stream, timestamps ? Buffer.concat([Buffer.from(`${formatNano(time)} `), line]) : line)
    if (response.writableNeedDrain) await once(response, 'drain', { signal })
  }
  batch.flush()
  response.end()
}

/** `headers`: what every answer carries, for the one that is not written by node:http. */
export function containerStreamRoutes(containers: ContainerBackend, headers: () => Record<string, string>): Route[] {
  return [
    { method: 'GET', path: '/containers/{id}/logs', handler: (call) => logs(call, containers) },
    {
      method: 'POST',
      path: '/containers/{id}/attach',
      handler: async (call) => {
        const { query } = call
        const attachment = await containers.attach(call.params['id'] ?? '', {
          stdin: query.flag('stdin'),
          stdout: query.flag('stdout'),
          stderr: query.flag('stderr'),
          logs: query.flag('logs'),
          stream: query.flag('stream'),
          detachKeys: query.text('detachKeys'),
        })
        await serveAttachment(call, attachment, headers())
      },
    },
  ]
}
