import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, removeCgroups, TestHost } from '../src/index.ts'

/** Where a limit is found in each version of control groups: `controller/file` and `file`. */
const files = {
  memory: ['memory/memory.limit_in_bytes', 'memory.max'],
  swap: ['memory/memory.memsw.limit_in_bytes', 'memory.swap.max'],
  reservation: ['memory/memory.soft_limit_in_bytes', 'memory.low'],
  quota: ['cpu/cpu.cfs_quota_us', 'cpu.max'],
  period: ['cpu/cpu.cfs_period_us', 'cpu.max'],
  shares: ['cpu/cpu.shares', 'cpu.weight'],
  processors: ['cpuset/cpuset.cpus', 'cpuset.cpus'],
  nodes: ['cpuset/cpuset.mems', 'cpuset.mems'],
  pids: ['pids/pids.max', 'pids.max'],
  swappiness: ['memory/memory.swappiness', ''],
  oom: ['memory/memory.oom_control', ''],
  readBps: ['blkio/blkio.throttle.read_bps_device', 'io.max'],
  writeBps: ['blkio/blkio.throttle.write_bps_device', 'io.max'],
  readIops: ['blkio/blkio.throttle.read_iops_device', 'io.max'],
  writeIops: ['blkio/blkio.throttle.write_iops_device', 'io.max'],
} as const

const isVersion1 = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes')

describe('limits', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  /** A setting of a container's control group, whichever version this machine has. */
  function setting(id: string, name: keyof typeof files, parent = host.cgroupParent): string {
    const [v1, v2] = files[name]
    const [controller = '', file = ''] = v1.split('/')
    return readFileSync(isVersion1 ? join('/sys/fs/cgroup', controller, parent, id, file) : join('/sys/fs/cgroup', parent, id, v2), 'utf8').trim()
  }

  const started = (...flags: string[]): Promise<string> => daemon.ok('run', '-d', ...flags, 'busybox', 'sleep', '300').then((output) => output.split('\n').at(-1) ?? '')
  const shown = (id: string, ...fields: string[]): Promise<string> => daemon.ok('inspect', '-f', fields.map((field) => `{{.HostConfig.${field}}}`).join(' '), id)

  it('are in the control group', async () => {
    const id = await started('-m', '64m', '--memory-reservation', '32m', '--cpus', '0.5', '--pids-limit', '50', '--cpu-shares', '512', '--cpuset-cpus', '0', '--cpuset-mems', '0')
    expect(setting(id, 'memory')).toBe(String(64 << 20))
    expect(setting(id, 'swap')).toBe(String((isVersion1 ? 128 : 64) << 20))
    expect(setting(id, 'reservation')).toBe(String(32 << 20))
    expect(setting(id, 'quota')).toMatch(/^50000\b/)
    expect(setting(id, 'period')).toMatch(/\b100000$/)
    expect(setting(id, 'shares')).toBe(isVersion1 ? '512' : '20')
    expect(setting(id, 'processors')).toBe('0')
    expect(setting(id, 'nodes')).toBe('0')
    expect(setting(id, 'pids')).toBe('50')
    expect(await shown(id, 'Memory', 'MemorySwap', 'NanoCpus', 'PidsLimit')).toBe(`${64 << 20} ${128 << 20} 500000000 50`)
    await daemon.ok('rm', '-f', id)
  })

  it.runIf(isVersion1)('that only cgroup v1 has are there, and real-time scheduling as far as the machine shares it', async () => {
    const id = await started('-m', '64m', '--memory-swappiness', '10', '--oom-kill-disable', '--cpu-quota', '50000', '--cpu-period', '200000')
    expect(setting(id, 'swappiness')).toBe('10')
    expect(setting(id, 'oom')).toMatch(/^oom_kill_disable 1$/m)
    expect([setting(id, 'quota'), setting(id, 'period')]).toEqual(['50000', '200000'])
    await daemon.ok('rm', '-f', id)
    // No group has a share of real time before its parent does, so the kernel refuses, and that is told.
    expect((await daemon.docker(['run', '--rm', '--cpu-rt-runtime', '1000', '--cpu-rt-period', '100000', 'busybox', 'true'])).stderr).toMatch(/cpu\.rt_runtime_us|does not support CPU real-time/)
    expect((await daemon.docker(['create', '--cpu-rt-runtime', '2000', '--cpu-rt-period', '1000', 'busybox'])).stderr).toMatch(/cpu real-time runtime cannot be higher than cpu real-time period/)
  })

  it('of disks are in the control group', async () => {
    const loop = readFileSync('/sys/block/loop0/dev', 'utf8').trim()
    const flags = ['--device-read-bps', '/dev/loop0:1mb', '--device-write-bps', '/dev/loop0:2mb', '--device-read-iops', '/dev/loop0:100', '--device-write-iops', '/dev/loop0:200']
    const id = await started(...flags)
    const found = [...new Set((['readBps', 'writeBps', 'readIops', 'writeIops'] as const).map((name) => setting(id, name)))]
    const rates = [1 << 20, 2 << 20, 100, 200]
    expect(found).toEqual(isVersion1 ? rates.map((rate) => `${loop} ${rate}`) : [`${loop} rbps=${rates[0]} wbps=${rates[1]} riops=${rates[2]} wiops=${rates[3]}`])
    await daemon.ok('rm', '-f', id)
  })

  it('that the kernel lacks are warned of, or refused, and others are there', async () => {
    const { code, stderr, stdout } = await daemon.docker(['run', '-d', '--blkio-weight', '300', '--kernel-memory', '64m', '-m', '64m', 'busybox', 'sleep', '300'])
    expect(code).toBe(0)
    const id = stdout.trim()
    const weight = ['blkio.weight', 'blkio.bfq.weight'].map((file) => join('/sys/fs/cgroup/blkio', host.cgroupParent, id, file)).find(existsSync)
    const told = weight ? readFileSync(weight, 'utf8') : stderr
    expect(told).toMatch(isVersion1 ? /\b300\b|Your kernel does not support Block I\/O weight or the cgroup is not mounted\. Weight discarded\./ : /^/)
    await daemon.ok('rm', '-f', id)
    // The size of no machine's pages.
    expect((await daemon.docker(['create', '--annotation', 'io.berth.hugetlb.3MB=4194304', 'busybox'])).stderr).toMatch(/huge pages of 3MB cannot be limited: this machine has/)
  })

  it('of processes are those asked for, and the rest the daemon’s', async () => {
    const script = 'ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj'
    expect(await daemon.ok('run', '--rm', '--ulimit', 'nofile=100:200', '--ulimit', 'core=0', '--oom-score-adj', '77', 'busybox', 'sh', '-c', script)).toBe('100\n200\n0\n77')
    expect((await daemon.docker(['create', '--oom-score-adj', '2000', 'busybox'])).stderr).toMatch(/range for oom score adj is \[-1000, 1000\]/)
  })

  it('are below the group asked for, which cannot lead out of the hierarchy', async () => {
    const parent = `${host.cgroupParent}/own`
    const id = await started('--cgroup-parent', parent, '--pids-limit', '9')
    expect(setting(id, 'pids', parent)).toBe('9')
    await daemon.ok('rm', '-f', id)
    removeCgroups(parent)
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

  describe('are updated', () => {
    let id: string
    beforeAll(async () => {
      id = await started('-m', '64m')
    })
    afterAll(() => daemon.ok('rm', '-f', id))

    const refusal = async (...flags: string[]): Promise<string> => (await daemon.docker(['update', ...flags, id])).stderr

    it('while the container runs', async () => {
      await daemon.ok('update', '--memory', '128m', '--memory-swap', '256m', '--memory-reservation', '100m', '--cpu-shares', '256', '--cpuset-cpus', '0', '--pids-limit', '20', '--blkio-weight', '0', id)
      expect(setting(id, 'memory')).toBe(String(128 << 20))
      expect(setting(id, 'swap')).toBe(String((isVersion1 ? 256 : 128) << 20))
      expect(setting(id, 'reservation')).toBe(String(100 << 20))
      expect(setting(id, 'shares')).toBe(isVersion1 ? '256' : '10')
      expect(setting(id, 'processors')).toBe('0')
      expect(setting(id, 'pids')).toBe('20')
      await daemon.ok('update', '--pids-limit', '-1', id)
      expect(setting(id, 'pids')).toBe('max')
      await daemon.ok('update', '--cpus', '0.25', id)
      expect(setting(id, 'quota')).toMatch(/^25000\b/)
    })

    it('and are there at the next start', async () => {
      await daemon.ok('restart', '-t', '0', id)
      expect(setting(id, 'memory')).toBe(String(128 << 20))
      expect(setting(id, 'quota')).toMatch(/^25000\b/)
      expect(setting(id, 'pids')).toBe('max')
    })

    it('not to what cannot be, in Docker’s words', async () => {
      expect(await refusal('--memory', '512m')).toMatch(/Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time/)
      expect(await refusal('--cpu-period', '50000')).toMatch(/Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set/)
      expect(await refusal('--memory', '1m')).toMatch(/Minimum memory limit allowed is 6MB/)
      expect(await refusal('--cpuset-cpus', '4095')).toMatch(/Requested CPUs are not available/)
      expect(await refusal('--restart', 'sometimes')).toMatch(/invalid restart policy/)
      expect(setting(id, 'memory')).toBe(String(128 << 20))
    })

    it('with the restart policy, but not of a container that is removed at its end', async () => {
      await daemon.ok('update', '--restart', 'on-failure:3', id)
      expect(await shown(id, 'RestartPolicy.Name', 'RestartPolicy.MaximumRetryCount')).toBe('on-failure 3')
      const gone = await started('--rm')
      expect((await daemon.docker(['update', '--restart', 'always', gone])).stderr).toMatch(/Restart policy cannot be updated because AutoRemove is enabled for the container/)
      await daemon.ok('kill', gone)
    })
  })
})
