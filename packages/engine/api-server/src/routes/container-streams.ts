import { BerthError } from '@berth/core'
import type { AttachOptions, ContainerBackend } from '../backend.ts'
import type { Call, Route } from '../call.ts'
import { closeGently, connect, serveAttachment, upgrades } from '../hijack.ts'
import { checkHandshake, checkOrigin, WebSocketStream } from '../web-socket.ts'
import { logs } from './container-logs.ts'

/** What an attach asks for, by its query. Before 1.42 a WebSocket had all streams. */
function attachOptions({ query, version }: Call, byDefault: boolean): AttachOptions {
  const [stdin, stdout, stderr] = ['stdin', 'stdout', 'stderr'].map((name) => (byDefault && version < 42) || query.flag(name)) as [boolean, boolean, boolean]
  return { stdin, stdout, stderr, logs: query.flag('logs'), stream: query.flag('stream'), detachKeys: query.text('detachKeys') }
}

async function attach(call: Call, containers: ContainerBackend): Promise<void> {
  const attachment = await containers.attach(call.params['id'] ?? '', attachOptions(call, false))
  await serveAttachment(call, attachment, { isRaw: attachment.tty })
}

/** Streams are never framed here: both outputs are messages, binary ones since 1.28. @see moby, wsContainersAttach */
async function attachByWebSocket(call: Call, containers: ContainerBackend): Promise<void> {
  const { request } = call
  checkHandshake(request)
  checkOrigin(request)
  const upgrade = upgrades.get(request)
  if (!upgrade) throw new BerthError('invalid-argument', 'WEBSOCKET_REQUIRED', 'bad request: a WebSocket handshake is needed')
  const attachment = await containers.attach(call.params['id'] ?? '', attachOptions(call, true))
  try {
    upgrade.taken = true
    const socket = await WebSocketStream.accept(request, upgrade.socket, upgrade.head, { isBinary: call.version >= 28 })
    const failure = await connect(socket, attachment, { isRaw: true })
    if (failure) socket.destroy(failure)
    else closeGently(socket)
  } finally {
    attachment.detach()
  }
}

export function containerStreamRoutes(containers: ContainerBackend): Route[] {
  return [
    { method: 'GET', path: '/containers/{id}/logs', handler: (call) => logs(call, containers) },
    { method: 'POST', path: '/containers/{id}/attach', handler: (call) => attach(call, containers) },
    { method: 'GET', path: '/containers/{id}/attach/ws', handler: (call) => attachByWebSocket(call, containers) },
  ]
}
