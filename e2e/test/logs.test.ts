import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, DockerDaemon, eventually, TestHost } from '../src/index.ts'

let host: TestHost
let daemon: Daemon
beforeAll(async () => {
  host = await TestHost.start()
  daemon = await host.startDaemon({ flags: ['--log-opt', 'max-file=5', '--log-opt', 'labels=team'] })
})
afterAll(() => host[Symbol.asyncDispose]())

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
const numbers = (last: number, line: (n: number) => string) => Array.from({ length: last }, (_, n) => `${line(n + 1)}\n`).join('')

/** Runs a script to its end. */
async function run(name: string, args: string[], script: string): Promise<void> {
  await daemon.ok('run', '-d', '--name', name, ...args, 'busybox', 'sh', '-c', script)
  expect(await daemon.ok('wait', name)).toBe('0')
}

describe.each(['json-file', 'local'])('%s', (driver) => {
  const args = ['--log-driver', driver]

  it('gives back both streams to the byte, with long lines and an unfinished one', async () => {
    const name = `${driver}-bytes`
    await run(name, args, `printf 'one\\n"two"\\t<&>\\n'; head -c 40000 /dev/zero | tr '\\0' x; echo; echo problem >&2; printf 'no newline'`)
    const { stdout, stderr } = await daemon.docker(['logs', name])
    expect(stdout).toBe(`one\n"two"\t<&>\n${'x'.repeat(40_000)}\nno newline`)
    expect(stderr).toBe('problem\n')
    expect((await daemon.docker(['logs', '--tail', '2', name])).stdout.endsWith('no newline')).toBe(true)
    const stamped = (await daemon.docker(['logs', '-t', name])).stdout.split('\n')
    expect(stamped).toHaveLength(4)
    for (const line of stamped) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z \S/)
  })

  it('rotates, compresses, and is read across its files, in part and while it grows', async () => {
    const name = `${driver}-rotated`
    await run(name, [...args, '--log-opt', 'max-size=300k', '--log-opt', 'max-file=20', '--log-opt', 'compress=true'], `seq 1 30000`)
    const all = numbers(30_000, String)
    expect(sha256((await daemon.docker(['logs', name])).stdout)).toBe(sha256(all))
    expect(await daemon.ok('logs', '--tail', '3', name)).toBe('29998\n29999\n30000')
    expect((await daemon.docker(['logs', '--tail', '20000', name])).stdout).toBe(all.split('\n').slice(-20_001).join('\n'))
    const directory = dirname(await daemon.ok('inspect', '-f', '{{.LogPath}}', name))
    await eventually(() => (readdirSync(directory).some((file) => file.endsWith('.1.gz')) ? true : undefined), { what: 'a compressed file' })
    expect(sha256((await daemon.docker(['logs', name])).stdout)).toBe(sha256(all))
  })

  it('tells labels, variables and tag with --details', async () => {
    const name = `${driver}-details`
    await run(name, [...args, '--label', 'team=a b', '--log-opt', 'labels=team', '--log-opt', 'env=APP', '--log-opt', 'tag={{.Name}}', '-e', 'APP=x=y'], 'echo hello')
    expect(await daemon.ok('logs', '--details', name)).toBe(`APP=x%3Dy,tag=${name},team=a+b hello`)
  })

  it('is followed from a time on, through its end', async () => {
    const name = `${driver}-followed`
    await daemon.ok('run', '-d', '--name', name, ...args, 'busybox', 'sh', '-c', 'echo early; until [ -e /go ]; do sleep 0.05; done; echo late')
    const since = await eventually(async () => (await daemon.ok('logs', '-t', name)).split(' ')[0] || undefined)
    const logs = daemon.spawnDocker(['logs', '-f', '--since', since, name])
    await logs.saw(/early/)
    const untilSoon = new Date(Date.now() + 1000).toISOString()
    expect(await daemon.docker(['logs', '-f', '--until', untilSoon, name])).toMatchObject({ code: 0, stdout: 'early\n' })
    await daemon.ok('exec', name, 'touch', '/go')
    expect(await logs.done).toMatchObject({ code: 0, stdout: 'early\nlate\n' })
    expect(await daemon.ok('logs', '-f', name)).toBe('early\nlate')
  })
})

it('keeps nothing with the driver none, and attaches all the same', async () => {
  expect(await daemon.ok('run', '--name', 'none', '--log-driver', 'none', 'busybox', 'echo', 'seen')).toBe('seen')
  expect(await daemon.docker(['logs', 'none'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/configured logging driver does not support reading/) as string })
})

it('has a default of its own, bounded, and refuses what drivers do not take', async () => {
  await daemon.ok('create', '--name', 'plain', 'busybox')
  expect(JSON.parse(await daemon.ok('inspect', '-f', '{{json .HostConfig.LogConfig}}', 'plain'))).toEqual({ Type: 'json-file', Config: { 'max-file': '5', labels: 'team' } })
  for (const [option, text] of [
    ['bogus=1', "unknown log opt 'bogus' for json-file log driver"],
    ['labels-regex=(', 'labels-regex'],
    ['mode=sometimes', 'logger: logging mode not supported: sometimes'],
  ] as const) {
    expect(await daemon.docker(['create', '--log-opt', option, 'busybox'])).toMatchObject({ code: 1, stderr: expect.stringContaining(text) as string })
  }
  expect(await daemon.docker(['create', '--log-driver', 'nowhere', 'busybox'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/no log driver named 'nowhere' is registered/) as string })
})

it('keeps up with a container that writes as fast as it can, and answers meanwhile', async () => {
  const line = 'x'.repeat(99)
  await daemon.ok('run', '-d', '--name', 'fast', 'busybox', 'sh', '-c', `yes ${line} | head -n 500000; echo end`)
  const waited = daemon.ok('wait', 'fast')
  while ((await Promise.race([waited, daemon.ok('version', '-f', '{{.Server.Version}}')])) !== '0');
  const { stdout } = await daemon.docker(['logs', 'fast'])
  expect(stdout.length).toBe(50_000_004)
  expect(sha256(stdout)).toBe(sha256(`${`${line}\n`.repeat(500_000)}end\n`))
  expect(await daemon.ok('logs', '--tail', '1', 'fast')).toBe('end')
  await daemon.ok('rm', 'fast')
})

it('loses nothing that is written while the daemon is dead, and no beginning of a line', async () => {
  const dir = join(host.dir, 'signals')
  mkdirSync(dir)
  const wait = (name: string) => `until [ -e /signals/${name} ]; do sleep 0.02; done`
  const script = `printf 'begin'; printf 'warn' >&2; ${wait('1')}; echo 'ning'; seq 1 20000; printf 'half'; ${wait('2')}; echo ' and half'; seq 20001 40000; echo 'ing' >&2`
  await daemon.ok('run', '-d', '--name', 'outlives', '-v', `${dir}:/signals`, 'busybox', 'sh', '-c', script)
  const pending = `${await daemon.ok('inspect', '-f', '{{.LogPath}}', 'outlives')}.pending`
  await eventually(() => (readFileSync(pending, 'latin1').includes('beginwarn') ? true : undefined), { what: 'the beginning of a line' })
  await daemon.crash()
  writeFileSync(join(dir, '1'), '')
  await daemon.restart()
  await eventually(() => (readFileSync(pending, 'latin1').includes('half') ? true : undefined), { what: 'the beginning of another line' })
  await daemon.crash()
  writeFileSync(join(dir, '2'), '')
  await daemon.restart()
  expect(await daemon.ok('wait', 'outlives')).toBe('0')
  const { stdout, stderr } = await daemon.docker(['logs', 'outlives'])
  const all = numbers(40_000, String).split('\n')
  expect(sha256(stdout)).toBe(sha256(['beginning', ...all.slice(0, 20_000), 'half and half', ...all.slice(20_000)].join('\n')))
  expect(stderr).toBe('warning\n')
})

it('makes a container wait while the disk is full, loses nothing, and lets it be killed and removed', async () => {
  const data = join(host.dir, 'full/data')
  await host.sh(`mkdir -p ${data}; mount -t tmpfs -o size=32m tmpfs ${data}`)
  const small = await host.startDaemon({ name: 'full' })
  const wide = 'y'.repeat(60)
  const script = `until [ -e /signals/write ]; do sleep 0.05; done; seq 1 8000 | sed 's/$/ ${wide}/'; echo end`
  const signals = join(host.dir, 'full/signals')
  for (const name of ['waits', 'goes']) await small.ok('run', '-d', '--name', name, '-v', `${signals}:/signals`, 'busybox', 'sh', '-c', script)
  await host.sh(`dd if=/dev/zero of=${data}/fill bs=4k 2>/dev/null || true; touch ${signals}/write`)
  await eventually(() => (small.log.includes('could not be logged') ? true : undefined), { what: 'the full disk being told of' })
  expect(await small.ok('ps', '--format', '{{.Names}}')).toContain('waits')
  await small.ok('kill', 'goes')
  await small.ok('rm', '-f', 'goes')
  await host.sh(`rm ${data}/fill`)
  expect(await small.ok('wait', 'waits')).toBe('0')
  const expected = `${numbers(8000, (n) => `${n} ${wide}`)}end\n`
  await eventually(async () => ((await small.docker(['logs', 'waits'])).stdout === expected ? true : undefined), { what: 'all lines once' })
  await small[Symbol.asyncDispose]()
  await host.sh(`umount ${data}`)
})

it.skipIf(!DockerDaemon.isInstalled())('has the local format and the JSON records of a real dockerd', async () => {
  await using docker = await DockerDaemon.start(host)
  const odd = `printf 'one\\n"two" \\\\ <&>\\tthree\\r\\n\\001\\302\\205 \\342\\200\\250\\377\\n'`
  const long = `head -c 20000 /dev/zero | tr '\\0' x; echo`
  const withoutTimes = (text: string) => text.replaceAll(/"time":"[^"]+"/g, '"time":""')
  const records: string[] = []
  // Of a long line, dockerd 20.10 loses the newline when it reads its local format.
  const locals: string[] = []
  for (const engine of [daemon, docker]) {
    const options = ['--log-opt', 'labels=team,b', '--log-opt', 'tag={{.Name}}', '--label', 'team=<a&b>', '--label', 'b=é\u2028']
    await engine.ok('run', '--name', 'same', ...options, 'busybox', 'sh', '-c', `${odd}; ${long}; printf rest`)
    records.push(withoutTimes(readFileSync(await engine.ok('inspect', '-f', '{{.LogPath}}', 'same'), 'utf8')))
    expect(await engine.ok('logs', '--details', '--tail', '1', 'same')).toBe('b=%C3%A9%E2%80%A8,tag=same,team=%3Ca%26b%3E rest')
    await engine.ok('run', '-d', '--name', 'local', '--log-driver', 'local', 'busybox', 'sh', '-c', `${odd}; printf rest`)
    await engine.ok('wait', 'local')
    locals.push((await engine.docker(['logs', 'local'])).stdout)
  }
  expect(records[0]).toBe(records[1])
  expect(locals[0]).toBe(locals[1])
  // Each reads the other's file.
  const idOf = (engine: Daemon | DockerDaemon) => engine.ok('inspect', '-f', '{{.Id}}', 'local')
  const ours = join(daemon.dataRoot, 'runtime/containers', await idOf(daemon), 'local-logs/container.log')
  const theirs = join(docker.dataRoot, 'containers', await idOf(docker), 'local-logs/container.log')
  const [ourBytes, theirBytes] = [readFileSync(ours), readFileSync(theirs)]
  writeFileSync(theirs, ourBytes)
  writeFileSync(ours, theirBytes)
  for (const engine of [daemon, docker]) expect((await engine.docker(['logs', 'local'])).stdout).toBe(locals[0])
})
