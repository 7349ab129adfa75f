import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

let host: TestHost
let daemon: Daemon
beforeAll(async () => {
  host = await TestHost.start()
  daemon = await host.startDaemon()
})
afterAll(() => host[Symbol.asyncDispose]())

const upgrade = 'Connection: Upgrade\r\nUpgrade: tcp\r\n'

/** A bare connection with the head of a request on it. */
async function open(method: string, path: string, headers = upgrade, body = ''): Promise<Socket> {
  const socket = connect({ path: daemon.socket, allowHalfOpen: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(`${method} /v1.51${path} HTTP/1.1\r\nHost: d\r\n${headers}${body ? `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n` : ''}\r\n${body}`)
  return socket
}

/** Takes the head of the answer away. */
async function head(socket: Socket): Promise<string> {
  let bytes = Buffer.alloc(0)
  for (;;) {
    const chunk = socket.read() as Buffer | null
    if (!chunk) {
      await once(socket, 'readable')
      continue
    }
    bytes = Buffer.concat([bytes, chunk])
    const end = bytes.indexOf('\r\n\r\n') + 4
    if (end < 4) continue
    if (end < bytes.length) socket.unshift(bytes.subarray(end))
    return bytes.subarray(0, end).toString()
  }
}

/** What is in the frames of a stream until its end. */
async function framesOf(socket: Socket): Promise<{ stdout: Buffer; stderr: Buffer }> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const all = Buffer.concat(chunks)
  const parts: Buffer[][] = [[], [], []]
  for (let at = 0; at < all.length; ) {
    expect(all.subarray(at + 1, at + 4)).toEqual(Buffer.alloc(3))
    const size = all.readUInt32BE(at + 4)
    parts[all[at] ?? 0]?.push(all.subarray(at + 8, at + 8 + size))
    at += 8 + size
  }
  return { stdout: Buffer.concat(parts[1] ?? []), stderr: Buffer.concat(parts[2] ?? []) }
}

async function post(path: string, body?: object): Promise<{ status: number; text: string }> {
  const call = request({ socketPath: daemon.socket, method: 'POST', path: `/v1.51${path}`, agent: false, headers: { 'Content-Type': 'application/json' } })
  call.end(body && JSON.stringify(body))
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  return { status: answer.statusCode ?? 0, text }
}

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')
/** A test of the gate takes part of the bytes and clients that `BERTH_STREAMS=full` takes. */
const isFull = process.env['BERTH_STREAMS'] === 'full'

describe('bytes', () => {
  const size = isFull ? '200M' : '16M'
  it.each(['run --rm -i --log-driver none busybox cat', 'exec -i target cat'])('are exact in both directions through docker %s', async (command) => {
    await daemon.ok('run', '-d', '--name', 'target', 'busybox', 'sleep', '300')
    const sums = await host.sh(`cd ${host.dir}; head -c ${size} /dev/urandom > input; docker -H unix://${daemon.socket} ${command} < input > output; sha256sum < input; sha256sum < output; rm input output`)
    const [sent, received] = sums.split('\n')
    expect(received).toBe(sent)
    await daemon.ok('rm', '-f', 'target')
  })

  it('of a process that closes its input early are no failure', async () => {
    const { code, stdout } = await daemon.docker(['run', '--rm', '-i', 'busybox', 'head', '-c', '5'], { input: Buffer.alloc(8 << 20, 'x') })
    expect([code, stdout]).toEqual([0, 'xxxxx'])
  })
})

describe('a slow client', () => {
  it('holds up neither the container nor another client nor the log, and gets every byte after the end', async () => {
    const id = await daemon.ok('create', '--log-opt', 'max-size=-1', 'busybox', 'sh', '-c', 'i=0; while [ $i -lt 24 ]; do head -c 500000 /dev/zero | tr "\\0" "$((i % 10))"; echo; i=$((i+1)); done; echo done >&2')
    const slow = await open('POST', `/containers/${id}/attach?stream=1&stdout=1&stderr=1`)
    await head(slow)
    const fast = await daemon.docker(['start', '-a', id])
    const expected = Buffer.concat(Array.from({ length: 24 }, (_, index) => Buffer.from(`${String(index % 10).repeat(500_000)}\n`)))
    expect([fast.code, fast.stdout.length, fast.stderr]).toEqual([0, expected.length, 'done\n'])
    expect(await host.sh(`docker -H unix://${daemon.socket} logs ${id} 2>/dev/null | sha256sum`)).toBe(`${sha256(expected)}  -\n`)
    expect(await daemon.ok('inspect', '-f', '{{.State.Status}}', id)).toBe('exited')
    const { stdout, stderr } = await framesOf(slow)
    expect([stdout.length, sha256(stdout), stderr.toString()]).toEqual([expected.length, sha256(expected), 'done\n'])
    await daemon.ok('rm', id)
  })

  it('still gets what it is owed when the container has been removed', async () => {
    const id = await daemon.ok('create', 'busybox', 'sh', '-c', 'head -c 5000000 /dev/zero | tr "\\0" x')
    const slow = await open('POST', `/containers/${id}/attach?stream=1&stdout=1`)
    await head(slow)
    await daemon.ok('start', '-a', id)
    await daemon.ok('rm', id)
    expect((await framesOf(slow)).stdout.equals(Buffer.alloc(5_000_000, 'x'))).toBe(true)
  })

  it('of a thousand that never read stops nothing', async () => {
    const id = await daemon.ok('create', 'busybox', 'sh', '-c', 'head -c 100000 /dev/zero | tr "\\0" x; echo end')
    const slow: Socket[] = []
    const attach = async (): Promise<void> => {
      const socket = await open('POST', `/containers/${id}/attach?stream=1&stdout=1`)
      await head(socket)
      slow.push(socket)
    }
    for (let count = 0; count < 1000; count += 100) await Promise.all(Array.from({ length: 100 }, attach))
    const { stdout } = await daemon.docker(['start', '-a', id])
    expect(stdout.length).toBe(100_004)
    for (const socket of slow) socket.destroy()
    await daemon.ok('rm', id)
  })
})

describe('attach', () => {
  it('shows what was logged and goes on with what comes, without a gap and once, in the middle of a line too', async () => {
    const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf "begun, "; sleep 1; echo ended; while [ $i -lt 3100 ]; do echo line $i; i=$((i+1)); done')
    await eventually(async () => (await daemon.ok('logs', id)).includes('line 2999') || undefined)
    const attached = framesOf(await open('POST', `/containers/${id}/attach?stream=1&logs=1&stdout=1`, `${upgrade}`).then(async (socket) => (await head(socket), socket)))
    const lines = (from: number, to: number): string => Array.from({ length: to - from }, (_, index) => `line ${from + index}\n`).join('')
    expect((await attached).stdout.toString()).toBe(`${lines(0, 3000)}begun, ended\n${lines(3000, 3100)}`)
    await daemon.ok('rm', id)
  })

  it('leaves the input open for the next client, unless it is to be read once', async () => {
    const many = await daemon.ok('run', '-d', '-i', 'busybox', 'cat')
    for (const line of ['one\n', 'two\n']) {
      const socket = await open('POST', `/containers/${many}/attach?stream=1&stdin=1&stdout=1`)
      await head(socket)
      socket.end(line)
      await framesOf(socket) // it ends with the client's input
    }
    await eventually(async () => (await daemon.ok('logs', many)) === 'one\ntwo' || undefined)
    expect(await daemon.ok('inspect', '-f', '{{.State.Running}} {{.Config.StdinOnce}}', many)).toBe('true false')
    const once = await daemon.docker(['run', '--rm', '-i', 'busybox', 'cat'], { input: 'three\n' })
    expect([once.code, once.stdout]).toEqual([0, 'three\n'])
    await daemon.ok('rm', '-f', many)
  })

  it('goes on with the log when its client has left', async () => {
    const id = await daemon.ok('run', '-d', '-i', 'busybox', 'sh', '-c', 'read line; echo first; read line; echo second')
    const socket = await open('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`)
    await head(socket)
    socket.write('x\n')
    await eventually(async () => (await daemon.ok('logs', id)) === 'first' || undefined)
    socket.destroy()
    const other = await open('POST', `/containers/${id}/attach?stream=1&stdin=1`)
    await head(other)
    other.write('x\n')
    expect(await daemon.ok('wait', id)).toBe('0')
    expect(await daemon.ok('logs', id)).toBe('first\nsecond')
    await daemon.ok('rm', id)
  })

  it('is a connection in both directions for a client that asks for no upgrade', async () => {
    const id = await daemon.ok('run', '-d', '-i', 'busybox', 'cat')
    const socket = await open('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, '')
    expect(await head(socket)).toBe('HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n')
    socket.write('typed')
    await once(socket, 'readable')
    expect(socket.read()).toEqual(Buffer.from('\x01\0\0\0\0\0\0\x05typed'))
    socket.destroy()
    expect(await host.sh(`curl -sN -X POST --unix-socket ${daemon.socket} 'http://d/containers/${id}/attach?logs=1&stdout=1' | tail -c 5; docker -H unix://${daemon.socket} rm -f ${id} > /dev/null`)).toBe('')
  })

  it('is a WebSocket', async () => {
    const id = await daemon.ok('create', '-i', 'busybox', 'sh', '-c', 'read line; echo "got $line"; echo bad >&2')
    const socket = new WebSocket(`ws+unix://${daemon.socket}:/v1.51/containers/${id}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1`)
    await once(socket, 'open')
    let text = ''
    socket.on('message', (data: Buffer) => (text += data.toString()))
    await daemon.ok('start', id)
    socket.send('words\n')
    expect((await once(socket, 'close'))[0]).toBe(1000)
    expect(text).toMatch(/^(got words\nbad\n|bad\ngot words\n)$/)
    await daemon.ok('rm', id)
  })

  it('is refused where Docker refuses it', async () => {
    await daemon.ok('run', '-d', '--name', 'paused', 'busybox', 'sleep', '300')
    await daemon.ok('pause', 'paused')
    const refused = await post('/containers/paused/attach?stream=1')
    expect([refused.status, refused.text]).toEqual([409, expect.stringMatching(/Container \w{64} is paused, unpause the container before attach\./)])
    expect((await post('/containers/paused/attach?stream=1&detachKeys=nope')).text).toContain('Invalid detach keys (nope) provided')
    await daemon.ok('rm', '-f', 'paused')
    await daemon.ok('create', '--name', 'silent', '--log-driver', 'none', 'busybox')
    expect(await post('/containers/silent/attach?logs=1&stdout=1')).toMatchObject({ status: 501, text: expect.stringContaining('configured logging driver does not support reading') })
    await daemon.ok('rm', 'silent')
  })
})

describe('clients that abort', () => {
  const openDescriptors = async (): Promise<number> => Number(await host.sh(`ls /proc/${daemon.pid}/fd | wc -l`))
  const residentKilobytes = async (): Promise<number> => Number(await host.sh(`awk '/^VmRSS/ {print $2}' /proc/${daemon.pid}/status`))

  it('leave no descriptor and no memory behind, at whatever stage', async () => {
    const id = await daemon.ok('run', '-d', '-i', 'busybox', 'sleep', '1000')
    const execs: string[] = []
    const path = `/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`
    /** How they go, each at another stage. */
    const stages: (() => Promise<void>)[] = [
      async () => void (await open('POST', path)).destroy(), // before the head of the answer
      async () => {
        const socket = await open('POST', path)
        await head(socket)
        socket.destroy()
      },
      async () => {
        const socket = await open('POST', path)
        socket.write('unread input')
        await head(socket)
        await once(socket.write('more') ? socket.end() : socket, 'finish')
        socket.destroy() // with input on its way
      },
      async () => {
        const socket = await open('POST', path)
        await head(socket)
        socket.end()
        await once(socket, 'finish')
        socket.destroy() // after the end of its input
      },
      async () => {
        const socket = await open('POST', `/containers/${id}/attach?stream=1&stdout=1&logs=1`, '')
        await head(socket)
        socket.end()
        socket.destroy()
      },
      async () => {
        const socket = connect(daemon.socket)
        socket.write(`POST /v1.51${path} HTTP/1.1\r\nHost`) // in the middle of a request
        await once(socket, 'connect')
        socket.destroy()
      },
      async () => {
        const socket = await open('POST', `/exec/${execs[0]}/start`, `${upgrade}Content-Length: 100\r\n`) // before the body
        socket.destroy()
      },
      async () => {
        const socket = new WebSocket(`ws+unix://${daemon.socket}:/containers/${id}/attach/ws?stream=1&stdin=1&stdout=1`)
        await once(socket, 'open')
        socket.terminate()
      },
    ]
    execs.push((JSON.parse((await post(`/containers/${id}/exec`, { Cmd: ['true'] })).text) as { Id: string }).Id)
    const abort = async (count: number): Promise<void> => {
      for (let done = 0; done < count; done += 40) await Promise.all(Array.from({ length: 40 }, async (_, index) => stages[(done + index) % stages.length]?.()))
    }
    await abort(400)
    await eventually(async () => ((await openDescriptors()) < 200 ? true : undefined), { what: 'the end of the first clients' })
    const [descriptors] = [await openDescriptors()]
    await abort(isFull ? 2000 : 800)
    const memory = await residentKilobytes()
    await abort(isFull ? 8000 : 1200)
    await eventually(async () => ((await openDescriptors()) <= descriptors + 2 ? true : undefined), { what: `no more than ${descriptors} open descriptors` })
    const grown = (await residentKilobytes()) - memory
    if (isFull) process.stderr.write(`10,000 aborted attaches: ${grown} KiB between 2,000 and 10,000\n`)
    // What is alive stays the same, by heap snapshots; V8 lets its heap grow to its usual size all the same, 20 to 35 MiB until 5,000 clients. A connection kept for each client would take more.
    expect(grown).toBeLessThan(40 << 10)
    await daemon.ok('rm', '-f', id)
  })

  it('of execs leave nothing behind either', async () => {
    const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '1000')
    const abortExec = async (stage: number): Promise<void> => {
      const { Id } = JSON.parse((await post(`/containers/${id}/exec`, { Cmd: ['cat'], AttachStdin: true, AttachStdout: true })).text) as { Id: string }
      const socket = await open('POST', `/exec/${Id}/start`, upgrade, '{"Detach":false}')
      if (stage > 0) await head(socket)
      if (stage > 1) socket.write('input')
      if (stage > 2) await once(socket.end(), 'finish')
      socket.destroy()
    }
    await Promise.all([0, 1, 2, 3].map(abortExec))
    await eventually(async () => ((await daemon.ok('inspect', '-f', '{{.ExecIDs}}', id)) === '[]' ? true : undefined), { what: 'the end of the first execs' })
    const descriptors = await openDescriptors()
    const count = isFull ? 400 : 24
    for (let done = 0; done < count; done += 4) await Promise.all([0, 1, 2, 3].map(abortExec))
    await eventually(async () => ((await openDescriptors()) <= descriptors + 2 ? true : undefined), { what: `no more than ${descriptors} open descriptors` })
    expect(await host.sh(`docker -H unix://${daemon.socket} top ${id} -o pid,comm | tail -n +2 | wc -l`)).toBe('1\n')
    await daemon.ok('rm', '-f', id)
  })

  it('send without end to a process that does not read, and take no memory for it', async () => {
    const id = await daemon.ok('run', '-d', '-i', 'busybox', 'sleep', '1000')
    const before = await residentKilobytes()
    const socket = await open('POST', `/containers/${id}/attach?stream=1&stdin=1`)
    await head(socket)
    const chunk = Buffer.alloc(1 << 20)
    let sent = 0
    while (sent < 64 && (socket.write(chunk) || (await Promise.race([once(socket, 'drain').then(() => true), new Promise<false>((resolve) => setTimeout(resolve, 300, false))])))) sent++
    expect(sent).toBeLessThan(8)
    expect((await residentKilobytes()) - before).toBeLessThan(24 << 10)
    socket.destroy()
    await daemon.ok('rm', '-f', id)
  })
})
