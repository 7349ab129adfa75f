import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Leads connections to an address, and cuts all of them whenever so many bytes have been sent there since the last cut, `cuts` times. */
export async function startCuttingProxy(target: string, { bytes, cuts }: { bytes: number; cuts: number }) {
  const [host = '', port = ''] = target.split(':')
  const sockets = new Set<Socket>()
  const state = { cut: 0 }
  let sent = 0
  const server = createServer((socket) => {
    const upstream = connect(Number(port), host)
    for (const each of [socket, upstream]) {
      sockets.add(each)
      each.on('error', () => {}).on('close', () => (sockets.delete(each), socket.destroy(), upstream.destroy()))
    }
    upstream.pipe(socket)
    socket.pipe(upstream)
    socket.on('data', (chunk: Buffer) => {
      sent += chunk.length
      if (sent < bytes || state.cut >= cuts) return
      sent = 0
      state.cut++
      for (const each of sockets) each.destroy()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    state,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const each of sockets) each.destroy()
      await closed
    },
  }
}
