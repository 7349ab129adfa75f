import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface HttpServer extends AsyncDisposable {
  /** `127.0.0.1:1234` */
  address: string
  /** `METHOD path` of what was asked but the first `/v2/`, in order. */
  asked: string[]
}

/** A registry made by hand, to behave badly. The probe of the client is answered for it. */
export async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<HttpServer> {
  const asked: string[] = []
  let isProbed = false
  const server = createServer((request, response) => {
    if (request.url === '/v2/' && !isProbed) {
      isProbed = true
      return response.end('{}')
    }
    asked.push(`${request.method} ${request.url}`)
    return handle(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
