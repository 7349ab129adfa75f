import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { connect, createServer, isIPv6, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { cloneFlags, setns } from '@berth/linux'

// One network namespace's voice and ear: a thread that has moved there for good.

const { netns } = workerData as { netns: string | undefined }
if (netns !== undefined) setns(openSync(netns, 'r'), cloneFlags.CLONE_NEWNET)

/** What answers on port 80: its name, who asked, then whatever it is sent. */
async function serve(name: string): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {}) // who asked has gone
    socket.write(`${name} ${plain(socket.remoteAddress)}\n`)
    socket.pipe(socket)
  })
  const datagrams = createSocket('udp6')
  datagrams.on('message', (_message, from) => datagrams.send(`${name} ${plain(from.address)}\n`, from.port, from.address))
  await Promise.all([once(server.listen(80), 'listening'), once(datagrams.bind(80), 'listening')])
}

function plain(address = ''): string {
  return address.replace('::ffff:', '')
}

/** In milliseconds, for an answer: what is dropped on the way has none. */
const patience = 1500

/** What comes back; undefined for nothing. */
async function ask(protocol: string, address: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const timer = setTimeout(() => resolve(undefined), patience)
  const onData = (data: Buffer) => resolve(String(data).trim())
  if (protocol === 'tcp') {
    const socket = connect(port, address)
    socket.once('data', onData).once('close', () => resolve(undefined))
    socket.on('error', () => {}) // tells by closing
    void promise.then(() => socket.destroy())
  } else {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    socket.once('message', onData).on('error', () => resolve(undefined))
    socket.send('?', port, address, (error) => error && resolve(undefined))
    void promise.then(() => socket.close())
  }
  void promise.then(() => clearTimeout(timer))
  return await promise
}

/** As `ask` over UDP, always from one port: to the kernel it is one conversation. */
async function askFrom(own: number, address: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  const timer = setTimeout(() => resolve(undefined), patience)
  socket.once('message', (data) => resolve(String(data).trim())).on('error', () => resolve(undefined))
  socket.bind(own, () => socket.send('?', port, address))
  const answer = await promise
  clearTimeout(timer)
  await new Promise<void>((closed) => socket.close(closed))
  return answer
}

const kept = new Map<string, Socket>()

/** A connection that stays; what it is greeted with. */
async function open(key: string, address: string, port: number): Promise<string> {
  const socket = connect(port, address)
  kept.set(key, socket)
  const [data] = (await once(socket, 'data')) as [Buffer]
  return String(data).trim()
}

async function say(key: string, text: string): Promise<string> {
  const socket = kept.get(key)
  if (!socket) throw new Error(`no connection ${key}`)
  socket.write(text)
  const [data] = (await once(socket, 'data')) as [Buffer]
  return String(data)
}

/** Takes a port. */
async function occupy(protocol: string, address: string, port: number): Promise<void> {
  if (protocol === 'tcp') await once(createServer().listen(port, address), 'listening')
  else await once(createSocket(isIPv6(address) ? 'udp6' : 'udp4').bind(port, address), 'listening')
}

function interfaceOf(name: string): { macAddress: string; addresses: string[] } | undefined {
  const found = networkInterfaces()[name]
  return found && { macAddress: found[0]?.mac ?? '', addresses: found.filter(({ scopeid }) => !scopeid).map(({ cidr }) => cidr ?? '') }
}

const jobs = { serve, ask, askFrom, open, say, occupy, interfaceOf }
export type ProberJobs = typeof jobs

async function answer({ id, job, args }: { id: number; job: keyof ProberJobs; args: unknown[] }): Promise<void> {
  try {
    parentPort?.postMessage({ id, value: await (jobs[job] as (...args: unknown[]) => unknown)(...args) })
  } catch (error) {
    parentPort?.postMessage({ id, error: String((error as Error).stack) })
  }
}

parentPort?.on('message', (request: Parameters<typeof answer>[0]) => void answer(request))
