import type { ContainerCreateRequest } from '@berth/api-types'
import { describe, expect, it } from 'vitest'
import { openCommandLine } from './command-line.ts'

describe('run', () => {
  it('shows the output of a container and leaves nothing with --rm', async () => {
    await using line = await openCommandLine()
    expect(await line.run('run', '--rm', 'busybox', 'echo', 'hello', '-n', '--rm')).toEqual({ code: 0, stdout: 'hello -n --rm\n', stderr: '' })
    expect((await line.run('ps', '-aq')).stdout).toBe('')
  })

  it('keeps the outputs apart', async () => {
    await using line = await openCommandLine()
    expect(await line.run('run', 'busybox', 'both')).toEqual({ code: 0, stdout: 'out\n', stderr: 'err\n' })
  })

  it.each([
    [['busybox', 'exit', '3'], 3],
    [['busybox', 'nothing-like-it'], 127],
    [['nowhere', 'true'], 125],
    [['--no-such-flag', 'busybox'], 125],
    [['-p', 'http', 'busybox'], 125],
    [['--restart', 'always', '--rm', 'busybox'], 125],
    [['--cpus', 'many', 'busybox'], 125],
    [[], 125],
  ])('ends with %j as %i', async (args, code) => {
    await using line = await openCommandLine()
    const ran = await line.run('run', ...args)
    expect([ran.code, ran.stderr.includes('berth: ')]).toEqual([code, code > 100])
  })

  it('leaves nothing of a container that could not start, with --rm', async () => {
    await using line = await openCommandLine()
    await line.run('run', '--rm', 'busybox', 'nothing-like-it')
    expect((await line.run('ps', '-aq')).stdout).toBe('')
  })

  it('passes standard input through', async () => {
    await using line = await openCommandLine()
    const { stdin, stdout, done } = line.start(['run', '-i', '--rm', 'busybox', 'cat'])
    stdin.end('x'.repeat(1_000_000))
    expect(await done).toBe(0)
    expect(stdout.text.length).toBe(1_000_000)
  })

  it('pulls an image that is not there, and says so beside the output', async () => {
    await using line = await openCommandLine()
    const { code, stdout, stderr } = await line.run('run', '--rm', 'registry.test/app:1', 'echo', 'pulled')
    expect([code, stdout]).toEqual([0, 'pulled\n'])
    expect(stderr).toContain("Unable to find image 'registry.test/app:1' locally\n1: Pulling from registry.test/app\n")
    expect((await line.run('run', '--pull', 'never', 'registry.test/other', 'true')).code).toBe(125)
  })

  it('prints the ID with -d and goes', async () => {
    await using line = await openCommandLine()
    const { stdout } = await line.run('run', '-d', '--name', 'web', 'busybox', 'sleep')
    expect(stdout).toMatch(/^[0-9a-f]{64}\n$/)
    expect((await line.run('ps', '--format', '{{.Names}} {{.Status}}')).stdout).toMatch(/^web Up /)
  })

  it('hands signals on', async () => {
    await using line = await openCommandLine()
    const { done } = line.start(['run', '--name', 'web', 'busybox', 'sleep'])
    while (!(await line.run('ps', '-q')).stdout) await new Promise((resolve) => setImmediate(resolve))
    process.emit('SIGTERM', 'SIGTERM')
    expect(await done).toBe(143)
    expect(process.listenerCount('SIGTERM')).toBe(0)
  })
})

describe('a terminal', () => {
  it('is raw while the container has it, has its size and its changes, and is given back', async () => {
    await using line = await openCommandLine()
    const { stdin, stdout, done } = line.start(['run', '-it', '--name', 'web', 'busybox', 'size'], { tty: true })
    while (!(await line.run('ps', '-q')).stdout) await new Promise((resolve) => setImmediate(resolve))
    const resized = new Promise<void>((resolve) => {
      const resize = line.backend.containers.resize.bind(line.backend.containers)
      line.backend.containers.resize = async (ref, size) => {
        await resize(ref, size)
        if (size.width === 132) resolve()
      }
    })
    Object.assign(stdout, { columns: 132, rows: 43 })
    stdout.emit('resize')
    await resized
    expect(stdin.modes).toEqual([true])
    stdin.write('x')
    expect(await done).toBe(0)
    expect(stdout.text).toContain('43 132\n')
    expect(stdin.modes).toEqual([true, false])
    expect(stdout.listenerCount('resize')).toBe(0)
  })

  it('is left with ctrl-p ctrl-q, and the container goes on', async () => {
    await using line = await openCommandLine()
    const { stdin, stdout, done } = line.start(['run', '-it', '--name', 'web', 'busybox', 'cat'], { tty: true })
    stdin.write('typed')
    await stdout.seen('typed')
    stdin.write('\x10\x11')
    expect(await done).toBe(0)
    expect(stdin.modes).toEqual([true, false])
    expect((await line.run('ps', '--format', '{{.Names}}')).stdout).toBe('web\n')
    await line.run('kill', 'web')
  })

  it('is given back when the engine goes away', async () => {
    const line = await openCommandLine()
    const { stdin, stdout, done } = line.start(['run', '-it', 'busybox', 'cat'], { tty: true })
    stdin.write('typed')
    await stdout.seen('typed')
    await line[Symbol.asyncDispose]()
    expect(await done).toBe(125)
    expect(stdin.modes).toEqual([true, false])
  })

  it('is asked for where there is none', async () => {
    await using line = await openCommandLine()
    expect(await line.run('run', '-it', 'busybox', 'cat')).toMatchObject({ code: 125, stderr: 'berth: the input device is not a TTY\n' })
  })
})

describe('flags of run', () => {
  it('make the request that Docker makes', async () => {
    await using line = await openCommandLine()
    let request: ContainerCreateRequest = {}
    let name: string | undefined
    const create = line.backend.containers.create.bind(line.backend.containers)
    line.backend.containers.create = (asked, given, options) => {
      request = given
      name = asked
      return create(asked, given, options)
    }
    const flags = '--name web -e A=1 -e LOCAL -e UNSET -w /srv -u 1:2 --entrypoint /bin/sh -h box -l a=b -p 127.0.0.1:8080:80 -P -v data:/data:ro -v /own --mount type=tmpfs,target=/t -m 64m --memory-swap -1 --cpus 0.5 --pids-limit 50 --network web --network-alias app --ip 10.0.0.2 --read-only --init --restart on-failure:3 --cap-add NET_ADMIN --cap-drop ALL --security-opt no-new-privileges --tmpfs /run:size=1m --add-host db=10.0.0.9 --dns 1.1.1.1 --stop-signal SIGINT --stop-timeout 5 --health-cmd true --health-interval 5s --ulimit nofile=10:20 --device /dev/fuse:rw --log-opt max-size=1m'
    expect(await line.run('create', ...flags.split(' '), 'busybox', '-c', 'true')).toMatchObject({ code: 0, stderr: '' })
    expect(name).toBe('web')
    expect(request).toEqual({
      Image: 'busybox',
      Cmd: ['-c', 'true'],
      Entrypoint: ['/bin/sh'],
      Hostname: 'box',
      User: '1:2',
      WorkingDir: '/srv',
      Env: ['A=1', 'LOCAL=here'],
      Labels: { a: 'b' },
      Tty: false,
      OpenStdin: false,
      StdinOnce: false,
      AttachStdin: false,
      AttachStdout: false,
      AttachStderr: false,
      ExposedPorts: { '80/tcp': {} },
      Volumes: { '/own': {} },
      StopSignal: 'SIGINT',
      StopTimeout: 5,
      Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 5e9 },
      NetworkingConfig: { EndpointsConfig: { web: { Aliases: ['app'], IPAMConfig: { IPv4Address: '10.0.0.2' } } } },
      HostConfig: {
        Binds: ['data:/data:ro'],
        Mounts: [{ Type: 'tmpfs', Target: '/t' }],
        Tmpfs: { '/run': 'size=1m' },
        PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] },
        PublishAllPorts: true,
        Memory: 64 << 20,
        MemorySwap: -1,
        NanoCpus: 5e8,
        PidsLimit: 50,
        Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }],
        NetworkMode: 'web',
        ExtraHosts: ['db:10.0.0.9'],
        Dns: ['1.1.1.1'],
        ReadonlyRootfs: true,
        Init: true,
        RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
        CapAdd: ['NET_ADMIN'],
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Devices: [{ PathOnHost: '/dev/fuse', PathInContainer: '/dev/fuse', CgroupPermissions: 'rw' }],
        LogConfig: { Config: { 'max-size': '1m' } },
      },
    })
  })
})
