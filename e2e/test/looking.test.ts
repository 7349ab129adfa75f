import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CheckedApi } from '../src/api-client.ts'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

describe('looking at containers', () => {
  let host: TestHost
  let daemon: Daemon
  let api: CheckedApi
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
    api = new CheckedApi(daemon.socket)
    await daemon.ok('tag', 'busybox', 'base')
    await daemon.ok('run', '-d', '--name', 'busy', '--cpus', '0.3', '-l', 'kind=a', '-p', '127.0.0.1:8086:80', '-v', 'data:/in', 'busybox', 'sh', '-c', 'echo one > /made; (while :; do :; done) & exec sleep 300')
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const names = async (...filters: string[]): Promise<string> => (await daemon.ok('ps', '-a', '--format', '{{.Names}}', ...filters.flatMap((filter) => ['--filter', filter]))).split('\n').toSorted().join(' ')

  it('docker stats computes shares from what is told', async () => {
    const read = async (): Promise<Record<string, string>> => JSON.parse(await daemon.ok('stats', '--no-stream', '--format', '{{json .}}', 'busy')) as Record<string, string>
    // The loop keeps a third of a processor busy, as far as others leave it to it.
    const stats = await eventually(async () => {
      const now = await read()
      return Number.parseFloat(now['CPUPerc'] ?? '') > 5 ? now : undefined
    })
    expect(Number.parseFloat(stats['CPUPerc'] ?? '')).toBeLessThan(100)
    expect(stats).toMatchObject({ Name: 'busy', PIDs: '2', MemUsage: expect.stringMatching(/^[\d.]+[KM]iB \/ [\d.]+GiB$/), MemPerc: expect.stringMatching(/^[\d.]+%$/), NetIO: expect.stringMatching(/B \/ .*B$/), BlockIO: expect.stringMatching(/B \/ .*B$/) })
    expect(await daemon.ok('stats', '--no-stream', '--format', '{{.Name}}')).toBe('busy')
  })

  it('docker stats goes on through a pause, a stop and a start, and ends with the container', async () => {
    await daemon.ok('run', '-d', '--name', 'watched', 'busybox', 'sleep', '300')
    const id = await daemon.ok('inspect', '-f', '{{.Id}}', 'watched')
    const seen: { pids_stats: { current?: number } }[] = []
    const stream = api.ask('GET', `/containers/${id}/stats`, {
      timeout: 60_000,
      until: (body) => {
        const lines = body.toString().trim().split(/\r?\n/)
        seen.splice(0, seen.length, ...lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as { pids_stats: { current?: number } }))
        return false
      },
    })
    const sees = (pids: number | undefined): Promise<true> => eventually(() => (seen.length > 0 && seen.at(-1)?.pids_stats.current === pids) || undefined)
    await sees(1)
    await daemon.ok('pause', 'watched')
    const before = seen.length
    await eventually(() => seen.length > before + 1 || undefined)
    expect(seen.at(-1)?.pids_stats.current).toBe(1)
    await daemon.ok('unpause', 'watched')
    await daemon.ok('stop', '-t', '0', 'watched')
    await sees(undefined)
    await daemon.ok('start', 'watched')
    await sees(1)
    await daemon.ok('rm', '-f', 'watched')
    expect((await stream).status).toBe(200)
  })

  it('docker top takes the options of ps, and shows commands that were run later', async () => {
    expect(await daemon.ok('top', 'busy')).toMatch(/^UID\s+PID\s+PPID.*CMD\n(.*\n)*.*sleep 300/)
    await daemon.ok('exec', '-d', 'busy', 'sleep', '299')
    expect(await eventually(async () => (/sleep 299/.exec(await daemon.ok('top', 'busy', '-o', 'pid,args')) ? daemon.ok('top', 'busy', '-o', 'pid,args') : undefined))).toMatch(/^PID\s+COMMAND\n/)
    expect((await daemon.ok('top', 'busy', 'axo', 'pid,user,comm')).split('\n')).toHaveLength(4)
    expect((await daemon.docker(['top', 'busy', '-o', 'args'])).stderr).toMatch(/Couldn't find PID field in ps output/)
    expect((await daemon.docker(['top', 'busy', '--nonsense'])).stderr).toMatch(/ps: unknown gnu long option/)
  })

  it('docker top cannot be made to show processes of the machine, by a column that is called PID', async () => {
    for (const format of ['comm=PID', 'pid=X,comm=PID', 'ppid=PID']) {
      expect(await daemon.docker(['top', 'busy', '-eo', format])).toMatchObject({ code: 1, stderr: expect.stringMatching(/is not allowed/) })
    }
  })

  it('docker ps filters as it says', async () => {
    await daemon.ok('create', '--name', 'child-like', '--expose', '9000/udp', '-l', 'kind=b', 'base', 'true')
    await daemon.ok('commit', 'busy', 'child')
    await daemon.ok('create', '--name', 'of-child', 'child', 'true')
    expect(await names('ancestor=busybox')).toBe('busy child-like of-child')
    expect(await names('ancestor=child')).toBe('of-child')
    expect(await names('ancestor=nowhere')).toBe('')
    expect(await names('name=^/?child', 'status=created')).toBe('child-like')
    expect(await names('label=kind', 'label=kind=b')).toBe('child-like')
    expect(await names('publish=8000-8100/tcp')).toBe('busy')
    expect(await names('expose=9000/udp')).toBe('child-like')
    expect(await names('volume=data')).toBe('busy')
    expect(await names('volume=/in')).toBe('busy')
    expect(await names('network=bridge', 'status=running')).toBe('busy')
    expect(await names('before=of-child', 'since=busy')).toBe('child-like')
    expect(await names('health=none', 'is-task=false', 'isolation=default')).toBe('busy child-like of-child')
    expect(await names('id=zz')).toBe('')
    for (const [filter, text] of [['nonsense=1', "invalid filter 'nonsense'"], ['health=ill', 'unrecognized filter value for health: ill'], ['before=nobody', 'No such container: nobody'], ['publish=a:b', "filter for 'publish' should not contain ':': a:b"]] as const) {
      expect((await daemon.docker(['ps', '--filter', filter])).stderr).toContain(text)
    }
    // ReDoS: an expression that a backtracking matcher needs years for; another request is answered meanwhile.
    await daemon.ok('rename', 'of-child', `a${'a'.repeat(60)}`)
    expect(await names('name=^(a+)+$x')).toBe('')
    await daemon.ok('rm', 'child-like', `a${'a'.repeat(60)}`)
    await daemon.ok('rmi', 'child')
  })

  it('docker diff and inspect -s tell what was written', async () => {
    expect(await daemon.ok('diff', 'busy')).toBe('A /in\nA /made')
    const [inspected] = JSON.parse(await daemon.ok('inspect', '-s', 'busy')) as { SizeRw: number; SizeRootFs: number; GraphDriver: { Data: Record<string, string> }; Config: { Image: string }; State: object }[]
    expect(inspected?.SizeRw).toBeGreaterThan(0)
    expect(inspected?.SizeRootFs).toBeGreaterThan(1_000_000)
    expect(readFileSync(`${inspected?.GraphDriver.Data['UpperDir']}/made`, 'utf8')).toBe('one\n')
    expect(await daemon.ok('ps', '-s', '--format', '{{.Size}}')).toMatch(/^[\d.]+k?B \(virtual [\d.]+MB\)$/)
    expect(await daemon.ok('system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}}')).toMatch(/^Images 1 1\nContainers 1 1\nLocal Volumes 1 1\nBuild Cache 0 0$/)
    expect(await daemon.ok('system', 'df', '-v')).toMatch(/busybox.*sleep|busy$/m)
  })

  it('docker info tells the truth', async () => {
    const info = JSON.parse(await daemon.ok('info', '--format', '{{json .}}')) as Record<string, unknown>
    expect(info).toMatchObject({
      Containers: 1, ContainersRunning: 1, ContainersPaused: 0, ContainersStopped: 0, Images: 1, NCPU: expect.any(Number), DefaultRuntime: 'runc', LoggingDriver: 'json-file', CgroupDriver: 'cgroupfs', Driver: 'overlay', OSType: 'linux',
      InitBinary: expect.stringMatching(/^\//), SecurityOptions: expect.arrayContaining(['name=seccomp,profile=builtin']), Warnings: expect.any(Array), NFd: expect.any(Number),
    }) // prettier-ignore
    expect(info['Plugins']).toMatchObject({ Log: expect.arrayContaining(['json-file']), Volume: ['local'], Network: expect.arrayContaining(['bridge', 'host', 'null']) })
    expect(info['Runtimes']).toHaveProperty('runc')
    await daemon.ok('pause', 'busy')
    expect(await daemon.ok('info', '--format', '{{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}')).toBe('0 1 0')
    await daemon.ok('unpause', 'busy')
  })
})
