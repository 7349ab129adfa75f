import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

const counts = ['busybox', 'sh', '-c', 'trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done']

describe('containers and the end of their daemon', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const shows = (format: string, name: string): Promise<string> => daemon.ok('inspect', '-f', format, name)
  const becomes = (format: string, name: string, value: string): Promise<true> => eventually(async () => ((await shows(format, name)) === value ? true : undefined), { what: `${name}: ${value}` })

  it('they run on when it ends in order, with their output, health, execs and restart policies', async () => {
    await daemon.ok('run', '-d', '--name', 'counts', '--health-cmd', 'true', '--health-interval', '200ms', '--restart', 'on-failure:5', ...counts)
    await becomes('{{.State.Health.Status}}', 'counts', 'healthy')
    await daemon.ok('exec', '-d', 'counts', 'sleep', '299')
    const pid = await shows('{{.State.Pid}} {{.State.StartedAt}}', 'counts')
    await daemon.ok('run', '-d', '--name', 'stopped', '--restart', 'unless-stopped', 'busybox', 'sleep', '300')
    await daemon.ok('stop', '-t', '0', 'stopped')
    expect(await daemon.stop()).toBe(0)
    await daemon.restart()
    expect(await shows('{{.State.Pid}} {{.State.StartedAt}}', 'counts')).toBe(pid)
    expect(await shows('{{.State.Health.Status}}', 'counts')).toBe('healthy')
    expect(await shows('{{.ExecIDs}}', 'counts')).toMatch(/[0-9a-f]{64}/)
    expect(await daemon.ok('top', 'counts')).toMatch(/sleep 299/)
    expect(await shows('{{.State.Status}}', 'stopped')).toBe('exited')
    const before = Number((await daemon.ok('logs', '--tail', '1', 'counts')).trim())
    await eventually(async () => (Number((await daemon.ok('logs', '--tail', '1', 'counts')).trim()) > before ? true : undefined))
    const numbers = (await daemon.ok('logs', 'counts')).split('\n').map(Number)
    expect(numbers).toEqual(numbers.map((_, index) => index + 1))
    // Its policy is still there.
    await host.sh(`kill -9 ${pid.split(' ')[0]}`)
    await becomes('{{.RestartCount}} {{.State.Status}}', 'counts', '1 running')
    await daemon.ok('rm', '-f', 'counts', 'stopped')
  })

  it('what becomes unhealthy is started again, when it asks for that', async () => {
    await daemon.ok('run', '-d', '--name', 'ill', '--annotation', 'io.berth.restart-unhealthy=true', '--health-cmd', 'test ! -e /ill', '--health-interval', '100ms', '--health-retries', '1', ...counts)
    await becomes('{{.State.Health.Status}}', 'ill', 'healthy')
    await daemon.ok('exec', 'ill', 'sh', '-c', 'touch /ill')
    await becomes('{{.RestartCount}}', 'ill', '1')
    await daemon.ok('stop', 'ill')
    expect(await shows('{{.State.Status}}', 'ill')).toBe('exited')
    await daemon.ok('rm', 'ill')
  })

  it('a health check that takes too long is killed with all that it started', async () => {
    const check = 'sleep 298 & setsid sleep 297 & sleep 296'
    const often = ['--health-interval', '200ms', '--health-start-period', '1m', '--health-start-interval', '200ms', '--health-timeout', '300ms']
    await daemon.ok('run', '-d', '--name', 'slow', '--health-cmd', check, ...often, 'busybox', 'sleep', '300')
    await eventually(async () => ((await shows('{{json .State.Health.Log}}', 'slow')).split('exceeded timeout (300ms)').length > 5 ? true : undefined))
    // At most those of the check that is under way, and of the one that is being ended: there were five.
    expect((await daemon.ok('top', 'slow', '-o', 'pid,args')).split('\n').filter((line) => /sleep 29[678]/.test(line)).length).toBeLessThanOrEqual(6)
    expect(await shows('{{.State.Health.Status}} {{.State.Health.FailingStreak}}', 'slow')).toBe('starting 0')
    await daemon.ok('rm', '-f', 'slow')
  })

  it('a container whose supervisor does not answer is removed all the same', async () => {
    const id = await daemon.ok('run', '-d', '--name', 'stuck', 'busybox', 'sleep', '300')
    await host.sh(`for p in /proc/[0-9]*; do [ "$(readlink $p/cwd)" = ${daemon.execRoot}/bundles/${id} ] && kill -STOP \${p#/proc/}; done; true`)
    await daemon.ok('rm', '-f', 'stuck')
    expect(await daemon.ok('ps', '-aq')).toBe('')
    await daemon.ok('run', '--rm', '--name', 'stuck', 'busybox', 'true')
  })
})

it('with --live-restore=false they end with it in order, and those with a restart policy come back with the next', async () => {
  await using host = await TestHost.start()
  const daemon = await host.startDaemon({ flags: ['--live-restore=false'] })
  await daemon.ok('run', '-d', '--name', 'once', ...counts)
  await daemon.ok('run', '-d', '--name', 'always', '--restart', 'always', '--volumes-from', 'once', ...counts)
  await eventually(async () => ((await daemon.ok('logs', 'always')).includes('1') ? true : undefined))
  expect(await daemon.stop()).toBe(0)
  expect(await host.sh('cat /proc/[0-9]*/comm | grep -c containerd-shim || true')).toBe('0\n')
  await daemon.restart()
  expect(await daemon.ok('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'once', 'always')).toBe('exited 0\nrunning 0')
})
