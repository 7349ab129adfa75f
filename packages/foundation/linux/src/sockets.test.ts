import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hungUp } from './sockets.ts'

it('tells a side that is gone from one that only sends no more, with unread input too', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'hung-up-'))
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(join(directory, 'socket'))
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const client = connect(join(directory, 'socket'))
  const [socket] = await accepted
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  client.end('unread')
  await once(client, 'finish')
  expect(hungUp([fd])).toEqual([])
  await once(client.destroy(), 'close')
  expect(hungUp([fd])).toEqual([fd])
  expect(hungUp([])).toEqual([])
  socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  rmSync(directory, { recursive: true })
})
