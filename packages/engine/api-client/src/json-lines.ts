import { BerthError } from '@berth/core'

/** Longer than any message; in characters. */
const maxLine = 16 << 20

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** The JSON values of a stream, one a line. Throws `data-loss` for what is none. */
export async function* jsonLines<T>(source: AsyncIterable<Uint8Array>): AsyncIterable<T> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of source) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield parse<T>(line)
    if (rest.length > maxLine) throw new BerthError('data-loss', 'STREAM_CORRUPT', 'the engine sent a message that does not end')
  }
  if (rest.trim() !== '') yield parse<T>(rest)
}

/** The messages of a progress stream. Throws the error that the engine tells within it. */
export async function* progress<T>(source: AsyncIterable<Uint8Array>): AsyncIterable<T> {
  for await (const message of jsonLines<unknown>(source)) {
    const detail = isRecord(message) && isRecord(message['errorDetail']) ? message['errorDetail']['message'] : undefined
    const error = detail ?? (isRecord(message) ? message['error'] : undefined)
    if (typeof error === 'string' && error !== '') throw new BerthError('internal', 'PROGRESS_FAILED', error)
    yield message as T
  }
}

export function parse<T>(text: string): T {
  try {
    return JSON.parse(text) as T
  } catch (cause) {
    throw new BerthError('data-loss', 'ANSWER_INVALID', 'the engine sent an answer that is not JSON', { cause })
  }
}
