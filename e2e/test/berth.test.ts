import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

describe('berth, our command line', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await daemon.berth(args)
    if (code !== 0) throw new Error(`berth ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`)
    return stdout.replace(/\n$/, '')
  }

  it('runs, and ends as what it ran', async () => {
    expect(await daemon.berth(['run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 3'])).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' })
    expect(await daemon.berth(['run', '--rm', '-i', 'busybox', 'cat'], { input: 'through' })).toMatchObject({ code: 0, stdout: 'through' })
    expect((await daemon.berth(['run', '--rm', 'busybox', 'no-such-program'])).code).toBe(127)
    expect((await daemon.berth(['run', '--rm', 'no-such-image.invalid/x'])).code).toBe(125)
    expect(await ok('ps', '-aq')).toBe('')
  })

  it('shows what runs, what it said and what it takes, and ends it', async () => {
    const id = await ok('run', '-d', '--name', 'web', '-p', '127.0.0.1:8085:80', '-e', 'A=b', 'busybox', 'sh', '-c', 'echo serving; mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www')
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(await ok('ps')).toMatch(new RegExp(`${id.slice(0, 12)} +busybox +.*Up .* 127\\.0\\.0\\.1:8085->80/tcp +web`))
    await eventually(async () => ((await ok('logs', 'web')) === 'serving' ? true : undefined))
    expect(await ok('port', 'web', '80/tcp')).toBe('127.0.0.1:8085')
    expect(await ok('stats', '--no-stream', 'web')).toMatch(/web .*[\d.]+%.* [\d.]+ ?[KM]iB \/ /)
    expect(await ok('exec', 'web', 'sh', '-c', 'echo $A')).toBe('b')
    expect(await ok('top', 'web')).toMatch(/httpd -f/)
    expect(JSON.parse(await ok('inspect', 'web'))).toMatchObject([{ Id: id, State: { Running: true } }])
    await ok('stop', '-t', '0', 'web')
    expect(await daemon.berth(['rm', 'web'])).toMatchObject({ code: 0, stdout: 'web\n' })
  })

  it('manages images, networks and volumes', async () => {
    await ok('tag', 'busybox', 'mine:1')
    expect(await ok('images')).toMatch(/mine +1 +[0-9a-f]{12}/)
    await ok('rmi', 'mine:1')
    await ok('network', 'create', 'net')
    await ok('volume', 'create', 'vol')
    expect(await ok('run', '--rm', '--network', 'net', '-v', 'vol:/data', 'busybox', 'cat', '/data/from-image')).toBe('from the image')
    expect(await ok('network', 'ls')).toMatch(/net +bridge/)
    expect(await ok('volume', 'ls')).toMatch(/local +vol/)
    await ok('network', 'rm', 'net')
    await ok('volume', 'rm', 'vol')
  })

  it('takes the flags of docker, and those of this engine', async () => {
    await host.sh(`printf '{"defaultAction":"SCMP_ACT_ALLOW"}' > ${host.dir}/profile.json`)
    const flags = ['--annotation', 'a=b', '--security-opt', `seccomp=${host.dir}/profile.json`, '--restart-unhealthy', '--exec-on-disconnect', 'kill', '--ulimit', 'nofile=100:200', '--stop-timeout', '3', '--health-cmd', 'true', '--health-start-interval', '1s', '--cidfile', `${host.dir}/id`, '--cpu-quota', '50000']
    const id = await ok('run', '-d', '--name', 'flagged', ...flags, 'busybox', 'sh', '-c', 'ulimit -n; exec sleep 300')
    expect(await host.sh(`cat ${host.dir}/id`)).toBe(id)
    const [{ HostConfig, Config, SizeRw }] = JSON.parse(await ok('inspect', '-s', 'flagged')) as [{ HostConfig: Record<string, unknown>; Config: Record<string, unknown>; SizeRw: number }]
    expect(HostConfig).toMatchObject({ Annotations: { a: 'b', 'io.berth.restart-unhealthy': 'true', 'io.berth.exec-on-disconnect': 'kill' }, SecurityOpt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'], CpuQuota: 50000 })
    expect(Config).toMatchObject({ StopTimeout: 3, Healthcheck: { StartInterval: 1e9 } })
    expect(SizeRw).toBe(0)
    await eventually(async () => ((await ok('logs', 'flagged')) === '100' ? true : undefined))
    await ok('update', '--restart', 'on-failure:2', '--memory', '64m', '--memory-swap', '64m', 'flagged')
    expect(await ok('inspect', '-f', '{{json .HostConfig.RestartPolicy}}', 'flagged')).toBe('{"Name":"on-failure","MaximumRetryCount":2}')
    expect((await daemon.berth(['run', '--cidfile', `${host.dir}/id`, 'busybox'])).stderr).toMatch(/^berth: container ID file found/)
    await ok('rm', '-f', 'flagged')
  })

  it('says what is wrong in one sentence', async () => {
    expect(await daemon.berth(['inspect', 'nope'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/^berth: .*nope.*\n$/i) })
    expect(await host.run('sh', ['-c', `${process.cwd()}/node_modules/.bin/berth -H unix:///nowhere.sock ps`])).toMatchObject({ code: 1, stderr: expect.stringMatching(/^berth: .*\/nowhere\.sock.*\n$/) })
    expect((await daemon.berth(['nonsense'])).code).not.toBe(0)
  })
})
