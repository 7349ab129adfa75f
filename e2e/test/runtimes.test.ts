import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, TestHost } from '../src/index.ts'

describe('runtimes by name', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    const file = join(host.dir, 'daemon.json')
    writeFileSync(file, JSON.stringify({ runtimes: { noisy: { path: '/usr/sbin/runc', runtimeArgs: ['--debug'] }, own: { runtimeType: 'io.containerd.runc.v2' } } }))
    daemon = await host.startDaemon({ flags: ['--config-file', file, '--experimental'] })
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it.each(['runc', 'noisy', 'own', 'io.containerd.runc.v2'])('run containers, and execs in them: %s', async (runtime) => {
    const id = await daemon.ok('run', '-d', '--runtime', runtime, 'busybox', 'sh', '-c', 'echo on; sleep 300')
    expect(await daemon.ok('inspect', '-f', '{{.HostConfig.Runtime}}', id)).toBe(runtime)
    expect(await daemon.ok('exec', id, 'echo', 'in')).toBe('in')
    await daemon.ok('rm', '-f', id)
  })

  it('are refused in Docker’s words when there are none of the name', async () => {
    for (const name of ['nosuch', 'io.containerd.nosuch.v1', '/bin/sh', 'io.containerd.../../x.v1']) {
      expect((await daemon.docker(['create', '--runtime', name, 'busybox'])).stderr).toBe(`Error response from daemon: unknown or invalid runtime name: ${name}\n`)
    }
  })

  it('are told of', async () => {
    expect(JSON.parse(await daemon.ok('info', '-f', '{{json .Runtimes}}'))).toMatchObject({ runc: { path: 'runc' }, noisy: { path: '/usr/sbin/runc', runtimeArgs: ['--debug'] }, own: {} })
    expect(await daemon.ok('info', '-f', '{{.DefaultRuntime}}')).toBe('runc')
  })

  it('are found again when the daemon was killed', async () => {
    const id = await daemon.ok('run', '-d', '--runtime', 'io.containerd.runc.v2', 'busybox', 'sleep', '300')
    await daemon.crash()
    await daemon.restart()
    expect(await daemon.ok('exec', id, 'echo', 'still')).toBe('still')
    await daemon.ok('rm', '-f', id)
  })

  it('let crun run execs, before and after the daemon was killed', async () => {
    const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '300')
    // A process that crun ran has no session of its own.
    const session = () => daemon.ok('exec', id, 'cut', '-d', ' ', '-f', '6', '/proc/self/stat')
    expect(await session()).toBe('0')
    await daemon.crash()
    await daemon.restart()
    expect(await session()).toBe('0')
    expect((await daemon.docker(['exec', id, 'nosuch'])).code).toBe(127)
    expect((await daemon.docker(['exec', id, '/etc'])).code).toBe(126)
    expect((await daemon.docker(['exec', id, 'sh', '-c', 'exit 7'])).code).toBe(7)
    await daemon.ok('rm', '-f', id)
  })

  describe('and checkpoints', () => {
    const works = spawnSync('criu', ['check']).status === 0

    it('are made and gone on from where criu works, and refused clearly where not', async () => {
      const id = await daemon.ok('run', '-d', '--name', 'counter', 'busybox', 'sh', '-c', 'n=0; while :; do n=$((n+1)); echo $n >/tmp/n; sleep 0.1; done')
      const { code, stderr } = await daemon.docker(['checkpoint', 'create', 'counter', 'first'])
      expect(code).toBe(works ? 0 : 1)
      const [expected] = works ? [''] : [/^Error response from daemon: Cannot checkpoint container counter: .*criu/]
      expect(stderr).toMatch(expected ?? '')
      expect(await daemon.ok('inspect', '-f', '{{.State.Status}}', id)).toBe(works ? 'exited' : 'running')
      expect(await daemon.ok('checkpoint', 'ls', 'counter')).toContain(works ? 'first' : 'CHECKPOINT NAME')
      const started = await daemon.docker(['start', '--checkpoint', works ? 'first' : 'none', 'counter'])
      expect(started.code).toBe(works ? 0 : 1)
      await daemon.ok('rm', '-f', id)
    })

    it('have no name that leads out of their directory (`..` in checkpoint names)', async () => {
      const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '300')
      for (const name of ['..', '../../up', '/abs', '.x']) {
        expect((await daemon.docker(['checkpoint', 'create', id, name])).stderr).toContain(`Invalid checkpoint ID (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`)
        expect((await daemon.docker(['start', '--checkpoint', name, id])).code).toBe(1)
      }
      await daemon.ok('rm', '-f', id)
    })
  })
})
