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

  it('killed in the middle of copies leaves nothing of them mounted, and the containers as usable as before', async () => {
    await daemon.ok('create', '--name', 'still', '-v', '/volume', 'busybox', 'true')
    await daemon.ok('run', '-d', '--name', 'moves', '-v', '/volume', 'busybox', 'sleep', '300')
    await host.sh(`dd if=/dev/urandom of=${host.dir}/large bs=1M count=24 2>/dev/null`)
    const names = ['still', 'moves']
    for (const name of names) await daemon.ok('cp', `${host.dir}/large`, `${name}:/volume/large`)
    const mounts = (): Promise<string> => host.sh('sort /proc/self/mountinfo')
    const before = await mounts()
    // One side is slow: a reader that takes little at a time, and an archive that does not come to its end.
    const url = (name: string, path: string): string => `--unix-socket ${daemon.socket} 'http://x/v1.51/containers/${name}/archive?path=${path}'`
    const slow = names.flatMap((name) => [
      host.spawn('sh', ['-c', `exec curl -sN --limit-rate 1k -o /dev/null ${url(name, '/volume/large')}`]),
      host.spawn('sh', ['-c', `cd ${host.dir}; { tar -cf - large | head -c 9000000; exec sleep 300; } | curl -s -T - ${url(name, '/tmp')}`]),
    ])
    const copies = `ls -l /proc/${daemon.pid}/fd | grep -c 'mnt:'`
    // Four views, and the root of the container that does not run.
    await eventually(async () => (Number(await host.sh(`${copies} || true`)) === 5 ? true : undefined), { what: 'copies under way' })
    expect(await mounts()).toBe(before)
    await daemon.crash()
    for (const copy of slow) copy.kill()
    expect(await mounts()).toBe(before)
    await daemon.restart()

    expect(await mounts()).toBe(before)
    expect(await daemon.ok('start', '-a', 'still')).toBe('')
    for (const name of names) {
      await daemon.ok('cp', `${name}:/volume/large`, `${host.dir}/again`)
      await host.sh(`cmp ${host.dir}/large ${host.dir}/again`)
    }
    await daemon.ok('rm', '-f', '-v', ...names)
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
