import { once } from 'node:events'
import { BerthError } from '@berth/core'
import type { ContainerBackend, LogChunk } from '../backend.ts'
import type { Call } from '../call.ts'
import { LogOutput } from '../log-output.ts'

export async function logs(call: Call, containers: ContainerBackend): Promise<void> {
  const { query, signal, response } = call
  const [stdout, stderr] = [query.flag('stdout'), query.flag('stderr')]
  if (!stdout && !stderr) throw new BerthError('invalid-argument', 'LOGS_NOTHING', 'Bad parameters: you must choose at least one stream')
  const tail = query.text('tail')
  const { tty, entries, batches } = await containers.logs(call.params['id'] ?? '', {
    stdout,
    stderr,
    follow: query.flag('follow'),
    since: query.time('since'),
    until: query.time('until'),
    // As in Docker, anything but a number of lines is all of them.
    tail: tail !== undefined && /^\d{1,9}$/.test(tail) ? Number(tail) : undefined,
    signal,
  })
  const output = new LogOutput({ raw: tty, timestamps: query.flag('timestamps'), details: query.flag('details') })
  response.writeHead(200, { 'Content-Type': `application/vnd.docker.${tty || call.version < 42 ? 'raw-stream' : 'multiplexed-stream'}` })
  response.flushHeaders()
  for await (const batch of batches ?? single(entries)) {
    if (!response.write(output.bytes(batch))) await once(response, 'drain', { signal })
  }
  response.end()
}

async function* single(entries: AsyncIterable<LogChunk>): AsyncGenerator<readonly LogChunk[]> {
  for await (const entry of entries) yield [entry]
}
