import type { IncomingMessage } from 'node:http'
import { BerthError, type ErrorKind } from '@berth/core'

/** The kind that a status stands for: what the API server maps the other way. */
const kinds: Record<number, ErrorKind> = {
  304: 'not-modified',
  400: 'invalid-argument',
  401: 'unauthenticated',
  403: 'permission-denied',
  404: 'not-found',
  405: 'not-implemented',
  409: 'conflict',
  413: 'resource-exhausted',
  429: 'resource-exhausted',
  431: 'resource-exhausted',
  499: 'cancelled',
  501: 'not-implemented',
  503: 'unavailable',
  504: 'deadline-exceeded',
}

/** Longer than any error's text; the rest of a hostile one is not read. */
const maxErrorBody = 1 << 20

/** The error that an answer tells, with the server's own message. */
export async function readHttpError(response: IncomingMessage): Promise<BerthError> {
  const status = response.statusCode ?? 0
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (text.length > maxErrorBody) break
  }
  const kind = kinds[status] ?? (status >= 400 && status < 500 ? 'invalid-argument' : 'internal')
  return new BerthError(kind, `HTTP_${status}`, messageIn(text) ?? (text.trim().slice(0, 1000) || `the engine answered ${status} ${response.statusMessage ?? ''}`.trim()))
}

function messageIn(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    return typeof message === 'string' && message !== '' ? message : undefined
  } catch {
    return undefined
  }
}
