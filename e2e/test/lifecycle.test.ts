import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

interface Inspected {
  State: { Status: string; Running: boolean; ExitCode: number; StartedAt: string; FinishedAt: string; Pid: number; Error: string }
  RestartCount: number
  Name: string
}

describe('the life of a container', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const inspect = async (name: string): Promise<Inspected> => (JSON.parse(await daemon.ok('inspect', name)) as Inspected[])[0] as Inspected

  it('runs in the background and keeps its output', async () => {
    const id = await daemon.ok('run', '-d', '--name', 'talks', 'busybox', 'sh', '-c', 'for i in 1 2 3; do echo line $i; done; echo problem >&2')
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(await daemon.ok('wait', 'talks')).toBe('0')
    expect(await daemon.docker(['logs', 'talks'])).toEqual({ code: 0, stdout: 'line 1\nline 2\nline 3\n', stderr: 'problem\n' })
    expect(await daemon.ok('logs', '--tail', '2', 'talks')).toMatch(/^line 3$/m)
    expect(await daemon.ok('logs', '-t', '--tail', '4', 'talks')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 1$/m)
    expect(await daemon.ok('logs', '--since', '2100-01-01T00:00:00Z', 'talks')).toBe('')
    expect(await daemon.ok('logs', '--since', '1h', 'talks')).toMatch(/line 1/)
    await daemon.ok('rm', 'talks')
  })

  it('lets logs be followed to the end', async () => {
    await daemon.ok('run', '-d', '--name', 'followed', 'busybox', 'sh', '-c', 'echo one; until [ -e /go ]; do sleep 0.05; done; echo two')
    const logs = daemon.spawnDocker(['logs', '-f', 'followed'])
    await logs.saw(/one/)
    await daemon.ok('exec', 'followed', 'touch', '/go')
    expect(await logs.done).toMatchObject({ code: 0, stdout: 'one\ntwo\n' })
    await daemon.ok('rm', 'followed')
  })

  it('executes in a running container', async () => {
    await daemon.ok('run', '-d', '--name', 'host', '-e', 'FROM=container', 'busybox', 'sleep', '300')
    expect(await daemon.ok('exec', '-e', 'ADDED=1', '-w', '/tmp', 'host', 'sh', '-c', 'echo $FROM $ADDED; pwd')).toBe('container 1\n/tmp')
    expect(await daemon.docker(['exec', '-i', 'host', 'cat'], { input: 'through' })).toMatchObject({ code: 0, stdout: 'through' })
    expect(await daemon.ok('exec', '-u', 'app', 'host', 'id', '-un')).toBe('app')
    expect((await daemon.docker(['exec', 'host', 'sh', '-c', 'exit 7'])).code).toBe(7)
    expect(await daemon.docker(['exec', 'host', 'no-such-program'])).toMatchObject({ code: 127, stdout: expect.stringMatching(/executable file not found/) })
    expect(await daemon.docker(['exec', 'host', '/etc'])).toMatchObject({ code: 126 })
    await daemon.ok('exec', '-d', 'host', 'touch', '/made')
    await eventually(async () => ((await daemon.docker(['exec', 'host', 'test', '-e', '/made'])).code === 0 ? true : undefined))
    await daemon.ok('rm', '-f', 'host')
    expect(await daemon.docker(['exec', 'host', 'true'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/No such container: host/) })
  })

  it('is asked to stop with SIGTERM, and made to with SIGKILL', async () => {
    await daemon.ok('run', '-d', '--name', 'polite', 'busybox', 'sh', '-c', 'trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 0.05; done')
    await daemon.ok('run', '-d', '--name', 'deaf', 'busybox', 'sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 1; done')
    for (const name of ['polite', 'deaf']) await eventually(async () => ((await daemon.ok('logs', name)).includes('ready') ? true : undefined))
    await daemon.ok('stop', 'polite')
    expect((await inspect('polite')).State).toMatchObject({ Status: 'exited', ExitCode: 5, Running: false, Pid: 0 })
    expect(await daemon.ok('logs', 'polite')).toBe('ready\nbye')
    await daemon.ok('stop', '-t', '1', 'deaf')
    expect((await inspect('deaf')).State).toMatchObject({ Status: 'exited', ExitCode: 137 })
    await daemon.ok('stop', 'deaf') // what is stopped already is no error
    await daemon.ok('rm', 'polite', 'deaf')
  })

  it('takes signals, waits, restarts, is renamed', async () => {
    await daemon.ok('run', '-d', '--name', 'one', 'busybox', 'sh', '-c', 'trap "echo got usr1" USR1; echo ready; while :; do sleep 0.05; done')
    await eventually(async () => ((await daemon.ok('logs', 'one')).includes('ready') ? true : undefined))
    await daemon.ok('kill', '-s', 'USR1', 'one')
    await eventually(async () => ((await daemon.ok('logs', 'one')).includes('got usr1') ? true : undefined))
    const before = await inspect('one')
    await daemon.ok('restart', '-t', '0', 'one')
    const after = await inspect('one')
    expect(after.State.Running).toBe(true)
    expect(after.State.StartedAt > before.State.StartedAt).toBe(true)
    await daemon.ok('rename', 'one', 'other')
    expect((await inspect('other')).Name).toBe('/other')
    const wait = daemon.spawnDocker(['wait', 'other'])
    await daemon.ok('kill', 'other')
    expect(await wait.done).toMatchObject({ code: 0, stdout: '137\n' })
    expect(await daemon.docker(['kill', 'other'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/is not running/) })
    await daemon.ok('rm', 'other')
  })

  it('pauses and goes on', async () => {
    await daemon.ok('run', '-d', '--name', 'sleeper', 'busybox', 'sleep', '300')
    await daemon.ok('pause', 'sleeper')
    expect((await inspect('sleeper')).State.Status).toBe('paused')
    expect((await daemon.docker(['exec', 'sleeper', 'true'])).stderr).toMatch(/is paused, unpause the container before exec/)
    await daemon.ok('unpause', 'sleeper')
    await daemon.ok('exec', 'sleeper', 'true')
    await daemon.ok('rm', '-f', 'sleeper')
  })

  it('shows processes and figures', async () => {
    await daemon.ok('run', '-d', '--name', 'busy', 'busybox', 'sh', '-c', 'sleep 301 & exec sleep 300')
    expect(await daemon.ok('top', 'busy')).toMatch(/^UID\s+PID\s+PPID.*CMD\n(.*\n)*.*sleep 301/)
    expect(await daemon.ok('top', 'busy', '-o', 'pid,args')).toMatch(/^PID\s+COMMAND\n/)
    expect(await daemon.ok('ps', '-s', '--filter', 'name=busy', '--format', '{{.Size}}')).toMatch(/^0B \(virtual [\d.]+MB\)$/)
    const stats = JSON.parse(await daemon.ok('stats', '--no-stream', '--format', '{{json .}}', 'busy')) as Record<string, string>
    expect(stats).toMatchObject({ Name: 'busy', PIDs: '2', MemUsage: expect.stringMatching(/^[\d.]+[KM]iB \/ [\d.]+GiB$/), NetIO: expect.stringMatching(/B \/ /) })
    expect(stats['MemUsage']).not.toMatch(/^0B/)
    await daemon.ok('rm', '-f', 'busy')
  })

  it('lists with filters and formats', async () => {
    await daemon.ok('run', '-d', '--name', 'runs', '--label', 'kind=a', 'busybox', 'sleep', '300')
    await daemon.ok('run', '--name', 'ended', '--label', 'kind=b', 'busybox', 'sh', '-c', 'exit 4').catch(() => {})
    const names = async (...args: string[]): Promise<string[]> => (await daemon.ok('ps', '--format', '{{.Names}}', ...args)).split('\n').filter(Boolean).toSorted()
    expect(await names()).toEqual(['runs'])
    expect(await names('-a')).toEqual(['ended', 'runs'])
    expect(await names('-a', '--filter', 'status=exited')).toEqual(['ended'])
    expect(await names('-a', '--filter', 'label=kind=a')).toEqual(['runs'])
    expect(await names('-a', '--filter', 'exited=4')).toEqual(['ended'])
    expect(await names('-a', '--filter', 'name=run')).toEqual(['runs'])
    expect(await names('-a', '--filter', 'ancestor=busybox')).toEqual(['ended', 'runs'])
    expect(await names('-n', '1')).toEqual(['ended'])
    expect(await daemon.ok('ps', '--no-trunc', '--format', '{{.ID}} {{.Image}} {{.Command}}')).toMatch(/^[0-9a-f]{64} busybox "sleep 300"$/)
    expect(await daemon.ok('ps', '-a')).toMatch(/Exited \(4\) .* ago/)
    expect((await daemon.docker(['ps', '--filter', 'nonsense=1'])).stderr).toMatch(/invalid filter 'nonsense'/)
    await daemon.ok('rm', '-f', 'runs', 'ended')
  })

  it('is not removed while it runs, unless forced', async () => {
    await daemon.ok('run', '-d', '--name', 'alive', 'busybox', 'sleep', '300')
    const refused = await daemon.docker(['rm', 'alive'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/container is running: stop the container before removing or force remove/)
    await daemon.ok('rm', '-f', 'alive')
    expect(await daemon.ok('ps', '-aq')).toBe('')
  })

  it('restarts as its policy says', async () => {
    await daemon.ok('run', '-d', '--name', 'again', '--restart', 'on-failure:2', 'busybox', 'sh', '-c', 'echo run; exit 1')
    await eventually(async () => {
      const { State, RestartCount } = await inspect('again')
      return State.Status === 'exited' && RestartCount === 2 ? true : undefined
    })
    expect(await daemon.ok('logs', 'again')).toBe('run\nrun\nrun')
    await daemon.ok('rm', 'again')
  })

  it('tells of its health', async () => {
    await daemon.ok('run', '-d', '--name', 'checked', '--health-cmd', 'test -e /well', '--health-interval', '100ms', '--health-retries', '1', 'busybox', 'sleep', '300')
    const health = (): Promise<string> => daemon.ok('inspect', '-f', '{{.State.Health.Status}}', 'checked')
    await eventually(async () => ((await health()) === 'unhealthy' ? true : undefined))
    await daemon.ok('exec', 'checked', 'touch', '/well')
    await eventually(async () => ((await health()) === 'healthy' ? true : undefined))
    await daemon.ok('rm', '-f', 'checked')
  })

  it('reports what happens', async () => {
    const since = String(Math.floor(Date.now() / 1000))
    await daemon.ok('run', '--rm', '--name', 'eventful', 'busybox', 'true')
    const events = await eventually(async () => {
      const out = await daemon.ok('events', '--since', since, '--until', '0s', '--filter', 'container=eventful', '--format', '{{.Action}}')
      return out.includes('destroy') ? out.split('\n') : undefined
    })
    expect(events).toEqual(['create', 'attach', 'start', 'die', 'destroy'])
  })
})
