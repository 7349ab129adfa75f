import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeLogDriver, loggedContainer } from '@berth/log-driver/contract'
import { localLogDriver } from '@berth/log-local'
import { syslogLogDriver } from '../src/index.ts'

for (const isAway of [false, true]) {
  describeLogDriver(`syslog, its peer ${isAway ? 'away' : 'there'}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'syslog-'))
    const path = join(directory, 'socket')
    const sockets = new Set<Socket>()
    const server = createServer((socket) => void sockets.add(socket.resume().on('error', () => {})))
    if (!isAway) await new Promise<void>((resolve) => server.listen(path, resolve))
    const driver = syslogLogDriver({ cache: localLogDriver() })
    return {
      driver,
      container: loggedContainer(directory),
      options: { 'syslog-address': `unix://${path}` },
      async [Symbol.asyncDispose]() {
        await driver[Symbol.asyncDispose]()
        for (const socket of sockets) socket.destroy()
        server.close()
        rmSync(directory, { recursive: true })
      },
    }
  })
}
