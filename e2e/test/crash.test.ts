import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

describe('a daemon that is killed', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const running = (name: string): Promise<string> => daemon.ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', name)

  it('finds its containers again, with their logs, and they can be used on', async () => {
    await daemon.ok('run', '-d', '--name', 'counts', 'busybox', 'sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done')
    await daemon.ok('run', '-d', '--name', 'ends', 'busybox', 'sh', '-c', 'until [ -e /end ]; do usleep 20000; done; echo last words; exit 9')
    await daemon.ok('run', '-d', '--name', 'serves', '-p', '8080:80', 'busybox', 'sh', '-c', 'mkdir /www; echo up > /www/index.html; httpd -f -h /www')
    await eventually(async () => (Number((await daemon.ok('logs', '--tail', '1', 'counts')).trim()) > 5 ? true : undefined))
    const pid = await daemon.ok('inspect', '-f', '{{.State.Pid}}', 'ends')
    await daemon.crash()

    await host.sh(`touch /proc/${pid}/root/end`)
    await host.sh(`until ! kill -0 ${pid} 2>/dev/null; do busybox usleep 20000; done`)
    await eventually(async () => ((await host.fetch('http://127.0.0.1:8080/')).stdout === 'up\n' ? true : undefined), { what: 'the published port without a daemon' })
    await daemon.restart()

    expect(await running('counts')).toBe('running 0')
    expect(await running('ends')).toBe('exited 9')
    expect(await daemon.ok('logs', 'ends')).toBe('last words')
    expect(await daemon.ok('exec', 'counts', 'echo', 'again')).toBe('again')
    const follow = daemon.spawnDocker(['logs', '-f', 'counts'])
    await follow.saw(/\n50\n/)
    await daemon.ok('stop', '-t', '0', 'counts')
    await follow.done
    const numbers = (await daemon.ok('logs', 'counts')).split('\n').map(Number)
    expect(numbers).toEqual(numbers.map((_, index) => index + 1))
    expect((await host.fetch('http://127.0.0.1:8080/')).stdout).toBe('up\n')
    await daemon.ok('rm', '-f', 'counts', 'ends', 'serves')
  })

  it('finds execs, names on networks, and containers of --rm that ended meanwhile', async () => {
    await daemon.ok('network', 'create', 'net')
    await daemon.ok('run', '-d', '--name', 'ann', '--network', 'net', 'busybox', 'sleep', '300')
    await daemon.ok('run', '-d', '--name', 'bob', '--network', 'net', 'busybox', 'sleep', '300')
    await daemon.ok('run', '-d', '--rm', '--name', 'gone', 'busybox', 'sleep', '300')
    const pid = await daemon.ok('inspect', '-f', '{{.State.Pid}}', 'gone')
    await daemon.ok('exec', '-d', 'ann', 'sleep', '299')
    await daemon.crash()
    await host.sh(`kill -9 ${pid}`)
    await daemon.restart()
    await eventually(async () => ((await daemon.ok('ps', '-a', '--format', '{{.Names}}')).split('\n').toSorted().join() === 'ann,bob' ? true : undefined))
    expect(await daemon.ok('exec', 'ann', 'ping', '-c', '1', '-W', '2', 'bob')).toMatch(/ 0% packet loss/)
    expect(await daemon.ok('top', 'ann')).toMatch(/sleep 299/)
    await daemon.ok('rm', '-f', 'ann', 'bob')
    await daemon.ok('network', 'rm', 'net')
  })

  it('killed in the middle of starts leaves nothing that its next start does not clean', async () => {
    const starts = Array.from({ length: 6 }, (_, index) => daemon.docker(['run', '-d', '--name', `half${index}`, 'busybox', 'sleep', '300']))
    await eventually(async () => ((await daemon.ok('ps', '-aq')).split('\n').length >= 2 ? true : undefined))
    await daemon.crash()
    await Promise.all(starts)
    await daemon.restart()
    const ids = (await daemon.ok('ps', '-aq')).split('\n').filter(Boolean)
    for (const id of ids) expect(await daemon.ok('inspect', '-f', '{{.State.Status}}', id)).toMatch(/created|running|exited/)
    if (ids.length > 0) await daemon.ok('rm', '-f', ...ids)
    await eventually(() => (host.leftovers().filter((line) => line.startsWith('cgroups') || line.startsWith('files')).length === 0 ? true : undefined), { what: 'a clean host' })
  })
})
