import type { IncomingMessage as Message } from 'node:http'
import { IncomingMessage } from './node-http.ts'

const attach = /\/containers\/[^/]+\/attach$/
const exec = /\/exec\/[^/]+\/start$/
const webSocket = /\/containers\/[^/]+\/attach\/ws$/

const pathOf = ({ url = '' }: Message): string => url.split('?', 1)[0] ?? ''

/** Whether a request that asks for an upgrade may have it. */
export function isUpgradable(request: Message): boolean {
  const path = pathOf(request)
  return request.method === 'POST' ? attach.test(path) || exec.test(path) : request.method === 'GET' && webSocket.test(path)
}

/**
 * Whether a client that does not ask for an upgrade gets the connection to itself all the same, as the oldest clients expect. Not with a body that could
 * be the input of a process, or whose end is not told in advance.
 */
function isHijacked(request: Message): boolean {
  const { headers, method } = request
  if (method !== 'POST' || headers.upgrade !== undefined || headers['transfer-encoding'] !== undefined || headers.expect !== undefined) return false
  const path = pathOf(request)
  return exec.test(path) || (attach.test(path) && Number(headers['content-length'] ?? 0) === 0)
}

/**
 * A request that node:http takes for one to upgrade where the connection is to leave HTTP, whether its head says so or not: the parser lets go of the
 * socket by this property alone.
 */
export class HijackableRequest extends IncomingMessage {
  #isUpgrade: boolean | null = null

  get upgrade(): boolean | null {
    return this.#isUpgrade === false && isHijacked(this) ? true : this.#isUpgrade
  }

  set upgrade(value: boolean | null) {
    // The constructor above sets it before there is a place for it.
    if (#isUpgrade in this) this.#isUpgrade = value
  }
}
