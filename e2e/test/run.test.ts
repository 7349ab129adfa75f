import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, TestHost } from '../src/index.ts'

describe('docker run', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it('says hello', async () => {
    expect(await daemon.docker(['run', '--rm', 'busybox', 'echo', 'hello'])).toEqual({ code: 0, stdout: 'hello\n', stderr: '' })
    expect(await daemon.ok('ps', '-aq')).toBe('')
  })

  it.each([
    [0, ['busybox', 'true'], /^$/],
    [3, ['busybox', 'sh', '-c', 'exit 3'], /^$/],
    [125, ['--memory', '1', 'busybox', 'true'], /Minimum memory limit allowed is 6MB/],
    [125, ['no-such-image-anywhere.invalid/x', 'true'], /docker: /],
    [126, ['busybox', '/etc'], /permission denied|is a directory/],
    [127, ['busybox', 'no-such-program'], /executable file not found in \$PATH/],
    [137, ['--init', 'busybox', 'sh', '-c', 'kill -9 $$'], /^$/],
    [143, ['--init', 'busybox', 'sh', '-c', 'kill -15 $$; sleep 5'], /^$/],
  ])('ends with %i for %j', async (code, args, stderr) => {
    const result = await daemon.docker(['run', '--rm', ...args])
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(stderr) })
    expect(await daemon.ok('ps', '-aq')).toBe('')
  })

  it('pipes 100 MB through cat byte for byte', async () => {
    const block = randomBytes(1 << 20)
    const input = Buffer.concat(Array.from({ length: 100 }, (_, index) => Buffer.concat([Buffer.from(String(index).padStart(8)), block])))
    const run = daemon.spawnDocker(['run', '--rm', '-i', 'busybox', 'cat'], { input })
    expect(await run.done).toMatchObject({ code: 0, stderr: '' })
    expect(run.stdoutBytes.length).toBe(input.length)
    expect(createHash('sha256').update(run.stdoutBytes).digest('hex')).toBe(createHash('sha256').update(input).digest('hex'))
  })

  it('keeps standard output and standard error apart', async () => {
    expect(await daemon.docker(['run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2'])).toEqual({ code: 0, stdout: 'out\n', stderr: 'err\n' })
  })

  it.each([
    [['-e', 'A=1', '-e', 'B=two words', 'busybox', 'sh', '-c', 'echo $A,$B'], '1,two words'],
    [['-w', '/new/place', 'busybox', 'pwd'], '/new/place'],
    [['-u', '1234:5678', 'busybox', 'sh', '-c', 'id -u; id -g'], '1234\n5678'],
    [['-u', 'app', 'busybox', 'id'], 'uid=1000(app) gid=1000(app) groups=1000(app),1001(extra)'],
    [['busybox', 'id'], 'uid=0(root) gid=0(root) groups=0(root),10(wheel)'],
    [['--entrypoint', 'echo', 'busybox', 'through', 'the', 'entrypoint'], 'through the entrypoint'],
    [['--hostname', 'ship', 'busybox', 'sh', '-c', 'hostname; cat /etc/hostname; grep -c ship /etc/hosts'], 'ship\nship\n1'],
    [['--init', 'busybox', 'sh', '-c', 'cat /proc/1/comm'], 'docker-init'],
    [['--tmpfs', '/scratch:size=1m', 'busybox', 'sh', '-c', 'grep -c "/scratch tmpfs" /proc/mounts'], '1'],
    [['--ulimit', 'nofile=99:100', 'busybox', 'sh', '-c', 'ulimit -n; ulimit -Hn'], '99\n100'],
    [['--sysctl', 'net.ipv4.ip_default_ttl=77', 'busybox', 'cat', '/proc/sys/net/ipv4/ip_default_ttl'], '77'],
    [['--shm-size', '8m', 'busybox', 'sh', '-c', 'df -m /dev/shm | tail -1 | tr -s " " | cut -d" " -f2'], '8'],
  ])('%j', async (args, expected) => {
    expect(await daemon.ok('run', '--rm', ...args)).toBe(expected)
  })

  it('names and labels', async () => {
    const id = await daemon.ok('create', '--name', 'wanted', '--label', 'tier=web', '--label', 'empty', 'busybox', 'true')
    const [container] = JSON.parse(await daemon.ok('inspect', 'wanted')) as { Id: string; Name: string; Config: { Labels: Record<string, string> }; State: { Status: string } }[]
    expect(container).toMatchObject({ Id: id, Name: '/wanted', Config: { Labels: { tier: 'web', empty: '' } }, State: { Status: 'created' } })
    const again = await daemon.docker(['create', '--name', 'wanted', 'busybox', 'true'])
    expect(again.code).toBe(1)
    expect(again.stderr).toContain(`Conflict. The container name "/wanted" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`)
    expect(await daemon.ok('rm', 'wanted')).toBe('wanted')
  })

  it('makes the root file system read-only', async () => {
    const { code, stderr } = await daemon.docker(['run', '--rm', '--read-only', 'busybox', 'touch', '/file'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/Read-only file system/)
  })
})
