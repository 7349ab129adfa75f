import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from '@berth/core'
import { NamespaceRunner } from '@berth/linux'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type DnsQuery, nameData, parseQuery, recordTypes, response } from '../src/dns-message.ts'
import type { DnsSandbox } from '../src/dns-server.ts'
import { EmbeddedDns } from '../src/embedded-dns.ts'
import { addressOn, Machine, run } from './harness.ts'

const { A, AAAA, PTR } = recordTypes
const runner = new NamespaceRunner()
afterAll(() => runner[Symbol.asyncDispose]())

/** Sends messages to 127.0.0.11 from inside, one after the other, and prints the answers; a message that gets none within its time prints a dash. */
const client = `
const { createSocket } = require('node:dgram'), { connect } = require('node:net')
const [protocol, wait, ...messages] = process.argv.slice(1)
const ask = {
  udp: (message, done) => {
    const socket = createSocket('udp4')
    socket.on('message', (answer) => { socket.close(); done(answer) })
    socket.send(message, 53, '127.0.0.11')
    return () => socket.close()
  },
  tcp: (message, done) => {
    const socket = connect(53, '127.0.0.11')
    let all = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      all = Buffer.concat([all, chunk])
      if (all.length >= 2 && all.length >= 2 + all.readUInt16BE(0)) { socket.destroy(); done(all.subarray(2)) }
    })
    socket.write(Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]))
    return () => socket.destroy()
  },
}
void (async () => {
  for (const message of messages) {
    const answer = await new Promise((resolve) => {
      let timer
      const close = ask[protocol](Buffer.from(message, 'hex'), (answer) => { clearTimeout(timer); resolve(answer.toString('hex')) })
      timer = setTimeout(() => { close(); resolve('-') }, Number(wait))
    })
    console.log(answer)
  }
})()
`

function queryFor(name: string, type: number = A): Buffer {
  return Buffer.concat([Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), nameData(name)!, Buffer.from([type >> 8, type & 255, 0, 1])])
}

async function ask(netns: string, messages: readonly Buffer[], { protocol = 'udp', wait = 20_000 }: { protocol?: 'udp' | 'tcp'; wait?: number } = {}): Promise<(Buffer | undefined)[]> {
  const { stdout, stderr } = await runner.run(netns, process.execPath, ['-e', client, '--', protocol, String(wait), ...messages.map((message) => message.toString('hex'))])
  const lines = stdout.trim().split('\n')
  if (lines.length !== messages.length) throw new Error(stderr)
  return lines.map((line) => (line === '-' ? undefined : Buffer.from(line, 'hex')))
}

/** `code` and the addresses, or whatever the data of the records are. */
function read(answer: Buffer | undefined): string {
  if (!answer) return 'nothing'
  const [flags, count] = [answer.readUInt16BE(2), answer.readUInt16BE(6)]
  let at = 12
  if (answer.readUInt16BE(4) > 0) {
    while (answer[at] !== 0) at += (answer[at] ?? 0) + 1
    at += 5
  }
  const data: string[] = []
  for (let index = 0; index < count; index++) {
    const length = answer.readUInt16BE(at + 10)
    const bytes = answer.subarray(at + 12, at + 12 + length)
    data.push(length === 4 ? bytes.join('.') : bytes.toString('latin1'))
    at += 12 + length
  }
  return [flags & 15, ...(flags & 0x200 ? ['truncated'] : []), ...data].join(' ')
}

describe('the embedded name server', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-dns-'))
  const netns = join(dir, 'ns')
  let dns: EmbeddedDns
  beforeAll(() => runner.create(netns))
  afterAll(() => {
    runner.delete(netns)
    rmSync(dir, { recursive: true })
  })
  beforeEach(() => {
    dns = new EmbeddedDns(silent)
  })
  afterEach(() => dns[Symbol.asyncDispose]())

  const sandbox = (more: Partial<DnsSandbox> = {}): DnsSandbox => ({ id: 's', netns, networks: [{ id: 'n', name: 'front' }], links: [], servers: [], ...more })
  const put = (id: string, names: string[], ipv4: string): void => dns.put({ id, networkId: 'n', fullName: `${names[0]}.front`, names, ipv4, ipv6: undefined })

  it('answers from inside over UDP and TCP', async () => {
    put('e', ['web'], '10.0.0.2')
    await dns.open(sandbox())
    for (const protocol of ['udp', 'tcp'] as const) {
      const answers = await ask(netns, [queryFor('web'), queryFor('web.front'), queryFor('web', AAAA), queryFor('2.0.0.10.in-addr.arpa', PTR), queryFor('elsewhere')], { protocol })
      expect(answers.map(read)).toEqual(['0 10.0.0.2', '0 10.0.0.2', '0', `0 ${nameData('web.front')?.toString('latin1')}`, '2'])
    }
  })

  it('listens in the sandbox and nowhere else, and stops', async () => {
    const other = join(dir, 'other')
    await runner.create(other)
    try {
      await dns.open(sandbox())
      await dns.open(sandbox({ id: 'o', netns: other }))
      const listening = async (path: string): Promise<string[]> => (await runner.run(path, 'ss', ['-Hlntu'])).stdout.trim().split('\n').filter((line) => line !== '').map((line) => line.replace(/\s+/g, ' ').split(' ')[4] ?? '') // prettier-ignore
      expect(await listening(netns)).toEqual([expect.stringMatching(/^127\.0\.0\.11:/), expect.stringMatching(/^127\.0\.0\.11:/)])
      dns.close('s')
      await dns.open(sandbox({ id: 'later', netns: other.replace('other', 'ns') })) // told after the close, so that is done
      dns.close('later')
      dns.close('o')
      await expect(dns.open(sandbox({ id: 'missing', netns: join(dir, 'missing') }))).rejects.toThrow(/ENOENT/)
      expect(await listening(netns)).toEqual([])
      expect(await listening(other)).toEqual([])
    } finally {
      runner.delete(other)
    }
  })

  it('leaves port 53 to the container, and answers all the same', async () => {
    put('e', ['web'], '10.0.0.2')
    await dns.open(sandbox())
    dns.close('s')
    await dns.open(sandbox()) // again, as after a restart of the daemon
    const occupy = `
      const { createServer } = require('node:net'), { createSocket } = require('node:dgram')
      createServer().listen(53, '0.0.0.0', () => createSocket('udp4').bind(53, '0.0.0.0', () => {
        const asking = require('node:child_process').spawn(process.execPath, ['-e', process.argv[1], '--', process.argv[2], '20000', process.argv[3]], { stdio: ['ignore', 'inherit', 'inherit'] })
        asking.on('exit', (code) => process.exit(code))
      }))`
    for (const protocol of ['udp', 'tcp']) {
      const { stdout, stderr } = await runner.run(netns, process.execPath, ['-e', occupy, '--', client, protocol, queryFor('web').toString('hex')])
      expect([read(Buffer.from(stdout.trim(), 'hex')), stderr]).toEqual(['0 10.0.0.2', ''])
    }
  })

  it('reads no more from who does not take the answers', async () => {
    put('e', ['web'], '10.0.0.2')
    await dns.open(sandbox())
    // Sends until nothing is taken any more for a while, or far more than sockets hold.
    const flood = `
      const socket = require('node:net').connect(53, '127.0.0.11').pause()
      const batch = Buffer.alloc(64 * 1024 - (64 * 1024) % Number(process.argv[1].length / 2), process.argv[1], 'hex')
      let sent = 0
      const stuck = () => { console.log(sent > 200 * batch.length ? 'all' : 'stuck'); process.exit() }
      let timer = setTimeout(stuck, 1500)
      const more = () => { clearTimeout(timer); timer = setTimeout(stuck, 1500); if ((sent += batch.length) > 200 * batch.length) stuck(); socket.write(batch, more) }
      socket.on('error', stuck)
      more()`
    const query = queryFor('web')
    const { stdout } = await runner.run(netns, process.execPath, ['-e', flood, '--', Buffer.concat([Buffer.of(0, query.length), query]).toString('hex')])
    expect(stdout.trim()).toBe('stuck')
    expect((await ask(netns, [query])).map(read)).toEqual(['0 10.0.0.2'])
  })

  it('sends long answers over TCP', async () => {
    for (let index = 0; index < 60; index++) put(`e${index}`, ['pool'], `10.0.1.${index}`)
    await dns.open(sandbox())
    expect(read((await ask(netns, [queryFor('pool')]))[0])).toBe('0 truncated')
    const [answer] = await ask(netns, [queryFor('pool')], { protocol: 'tcp' })
    expect(read(answer).split(' ')).toHaveLength(61)
  })

  it('asks others from the host for what it does not know', async () => {
    const upstream = createSocket('udp4')
    const asked: string[] = []
    upstream.on('message', (message, { port }) => {
      const { query } = parseQuery(message) as { query: DnsQuery }
      asked.push(query.name)
      upstream.send(response(message, query, 0, [Buffer.of(192, 0, 2, 9)]), port, '127.0.0.1')
    })
    upstream.bind(0, '127.0.0.1')
    await once(upstream, 'listening')
    put('e', ['web'], '10.0.0.2')
    await dns.open(sandbox({ servers: [{ address: '127.0.0.1', port: upstream.address().port }] }))
    expect((await ask(netns, [queryFor('example.org'), queryFor('web'), queryFor('web', AAAA)])).map(read)).toEqual(['0 192.0.2.9', '0 10.0.0.2', '0'])
    expect((await ask(netns, [queryFor('example.org')], { protocol: 'tcp' })).map(read)).toEqual(['0 192.0.2.9'])
    dns.update(sandbox())
    expect((await ask(netns, [queryFor('example.org')])).map(read)).toEqual(['2'])
    expect(asked).toEqual(['example.org', 'example.org'])
    upstream.close()
  })

  it('goes on after hostile messages', async () => {
    put('e', ['web'], '10.0.0.2')
    await dns.open(sandbox())
    const good = queryFor('web')
    const hostile = [Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]), good.subarray(0, 14), Buffer.alloc(12, 0x7f), Buffer.concat([good, Buffer.alloc(1400, 0xff)])]
    for (const protocol of ['udp', 'tcp'] as const) expect((await ask(netns, [...hostile, good], { protocol })).map(read)).toEqual(['1', '1', '4', '0 10.0.0.2', '0 10.0.0.2'])
    expect((await ask(netns, [Buffer.alloc(5), Buffer.concat([Buffer.of(0, 7, 0x80, 0), good.subarray(4)])], { wait: 200 })).map(read)).toEqual(['nothing', 'nothing'])
    expect((await ask(netns, [good])).map(read)).toEqual(['0 10.0.0.2'])
  })
})

describe('names of containers', () => {
  it('are found on their networks only, follow a renaming, and survive the end of the process', async () => {
    await using machine = new Machine()
    let networks = await machine.start()
    await networks.create({ Name: 'front' })
    await networks.create({ Name: 'back', Internal: true })
    const web = await run(networks, 'web', { networkMode: 'front', hostname: 'webhost', endpoints: { front: { Aliases: ['Site'] } } })
    const other = await run(networks, 'other', { networkMode: 'front', endpoints: { front: { Links: ['web:upstream'] } } })
    const apart = await run(networks, 'apart', { networkMode: 'back' })
    const address = addressOn(networks, web, 'front')
    const from = async (id: string, ...names: string[]): Promise<string[]> => (await ask(networks.settings(id).SandboxKey ?? '', names.map((name) => queryFor(name)))).map(read)

    expect(await from(other, 'web', 'site', web.slice(0, 12), 'webhost', 'upstream')).toEqual(Array.from({ length: 5 }, () => `0 ${address}`))
    expect(await from(apart, 'web', 'apart')).toEqual(['2', `0 ${addressOn(networks, apart, 'back')}`])
    await networks.connect('back', { Container: 'web', EndpointConfig: { Aliases: ['inside'] } })
    expect(await from(apart, 'web', 'inside')).toEqual(Array.from({ length: 2 }, () => `0 ${addressOn(networks, web, 'back')}`))
    await networks.rename(web, 'shop')
    expect(await from(apart, 'shop', 'web')).toEqual([`0 ${addressOn(networks, web, 'back')}`, '2'])

    networks = await machine.start({ running: [web, other, apart] })
    expect(await from(other, 'shop', 'site')).toEqual(Array.from({ length: 2 }, () => `0 ${address}`))
    await networks.disconnect('back', { Container: web })
    expect(await from(apart, 'shop')).toEqual(['2'])
    for (const id of [web, other, apart]) await networks.release(id)
    expect(machine.namesIn('netns')).toEqual([])
  })

  it('are served to a container of the default bridge once it is connected to another network', async () => {
    await using machine = new Machine()
    const networks = await machine.start()
    await networks.create({ Name: 'front' })
    const id = await run(networks, 'web')
    const { readFileSync } = await import('node:fs')
    const resolvConf = (): string => readFileSync(join(machine.filesDir, id, 'resolv.conf'), 'utf8')
    expect(resolvConf()).toContain('nameserver 192.0.2.53\n')
    await networks.connect('front', { Container: id })
    expect(resolvConf().match(/^nameserver .*$/gm)).toEqual(['nameserver 127.0.0.11'])
    expect((await ask(networks.settings(id).SandboxKey ?? '', [queryFor('web')])).map(read)).toEqual([`0 ${addressOn(networks, id, 'front')}`])
    await networks.release(id)
  })
})
