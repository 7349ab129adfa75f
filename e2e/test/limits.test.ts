import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

describe('limits', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  /** A setting of a container's control group, whichever version this machine has. */
  function setting(id: string, v1: string, v2: string): string {
    const [controller = '', file = ''] = v1.split('/')
    const one = join('/sys/fs/cgroup', controller, host.cgroupParent, id, file)
    return readFileSync(existsSync(one) ? one : join('/sys/fs/cgroup', host.cgroupParent, id, v2), 'utf8').trim()
  }

  it('are in the control group', async () => {
    const id = await daemon.ok('run', '-d', '-m', '64m', '--cpus', '0.5', '--pids-limit', '50', 'busybox', 'sleep', '300')
    expect(setting(id, 'memory/memory.limit_in_bytes', 'memory.max')).toBe(String(64 << 20))
    expect(setting(id, 'cpu/cpu.cfs_quota_us', 'cpu.max')).toMatch(/^50000\b/)
    expect(setting(id, 'pids/pids.max', 'pids.max')).toBe('50')
    expect(await daemon.ok('inspect', '-f', '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}', id)).toBe(`${64 << 20} 500000000 50`)
    await daemon.ok('update', '--memory', '128m', '--memory-swap', '256m', id)
    expect(setting(id, 'memory/memory.limit_in_bytes', 'memory.max')).toBe(String(128 << 20))
    await daemon.ok('rm', '-f', id)
  })

  it('end a process that goes over its memory, and the container says so', async () => {
    const id = await daemon.ok('create', '-m', '16m', '--memory-swap', '16m', 'busybox', 'sh', '-c', 'dd if=/dev/zero of=/dev/null bs=200M')
    const { code } = await daemon.docker(['start', '-a', id])
    expect(code).toBe(137)
    await eventually(async () => ((await daemon.ok('inspect', '-f', '{{.State.OOMKilled}} {{.State.ExitCode}}', id)) === 'true 137' ? true : undefined))
    await daemon.ok('rm', id)
  })

  it('stop a fork bomb', async () => {
    const { stderr } = await daemon.docker(['run', '--rm', '--pids-limit', '5', 'busybox', 'sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'])
    expect(stderr).toMatch(/can't fork|Resource temporarily unavailable/)
  })
})
