import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openCommandLine } from './command-line.ts'

describe('containers', () => {
  it('are created, started, stopped, restarted, renamed, paused and removed by name', async () => {
    await using line = await openCommandLine()
    await line.run('create', '--name', 'web', 'busybox', 'sleep')
    expect((await line.run('ps')).stdout.split('\n')).toHaveLength(2)
    expect((await line.run('ps', '-a')).stdout).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n[0-9a-f]{12} +busybox +"sleep" .* Created +web\n$/)
    for (const command of ['start', 'start', 'restart', 'pause', 'unpause', 'stop', 'stop']) expect(await line.run(command, 'web')).toEqual({ code: 0, stdout: 'web\n', stderr: '' })
    expect(await line.run('rename', 'web', 'site')).toMatchObject({ code: 0, stdout: '' })
    expect((await line.run('inspect', '-f', '{{.Name}} {{.State.Status}}', 'site')).stdout).toBe('/site exited\n')
    expect(await line.run('wait', 'site')).toMatchObject({ code: 0, stdout: '143\n' })
    expect(await line.run('rm', 'site')).toMatchObject({ code: 0, stdout: 'site\n' })
  })

  it('go on after one failed, and end with 1', async () => {
    await using line = await openCommandLine()
    await line.run('create', '--name', 'web', 'busybox', 'sleep')
    expect(await line.run('start', 'none', 'web')).toEqual({ code: 1, stdout: 'web\n', stderr: 'berth: No such container: none\n' })
    expect(await line.run('rm', 'web')).toMatchObject({ code: 1, stderr: expect.stringContaining('container is running') })
    expect(await line.run('rm', '-f', 'web', 'none')).toMatchObject({ code: 0 })
  })

  it('are killed by any signal', async () => {
    await using line = await openCommandLine()
    await line.run('run', '-d', '--name', 'web', 'busybox', 'sleep')
    expect(await line.run('kill', '-s', 'NONSENSE', 'web')).toMatchObject({ code: 1, stderr: 'berth: Invalid signal: NONSENSE\n' })
    await line.run('kill', '-s', 'USR1', 'web')
    expect((await line.run('wait', 'web')).stdout).toBe('138\n')
  })

  it('tell logs, ports, processes and what they use', async () => {
    await using line = await openCommandLine()
    await line.run('run', 'busybox', 'both')
    const [id = ''] = (await line.run('ps', '-aq')).stdout.split('\n')
    expect(await line.run('logs', id)).toMatchObject({ stdout: 'out\n', stderr: 'err\n' })
    expect((await line.run('logs', '-t', '--tail', '1', id)).stderr).toMatch(/^\d{4}-.*Z err\n$/)
    await line.run('run', '-d', '--name', 'web', '-p', '8080:80', 'busybox', 'sleep')
    expect((await line.run('port', 'web')).stdout).toBe('80/tcp -> 0.0.0.0:8080\n')
    expect((await line.run('port', 'web', '80')).stdout).toBe('0.0.0.0:8080\n')
    expect(await line.run('port', 'web', '81')).toMatchObject({ code: 1 })
    expect((await line.run('top', 'web', '-o', 'pid,cmd')).stdout).toBe('PID   CMD\n1     sleep\n')
    expect((await line.run('stats', '--no-stream')).stdout).toMatch(/^CONTAINER ID .*PIDS\n[0-9a-f]{12} +web +40\.00% +2MiB \/ 64MiB +3\.13% +1\.5kB \/ 2MB +0B \/ 0B +2\n$/)
    expect((await line.run('ps', '--format', 'json')).stdout).toContain('"Ports":"0.0.0.0:8080->80/tcp"')
    expect((await line.run('update', '-m', '32m', 'web')).stdout).toBe('web\n')
    expect((await line.run('inspect', '-f', '{{.HostConfig.Memory}}', 'web')).stdout).toBe(`${32 << 20}\n`)
  })

  it('run further commands', async () => {
    await using line = await openCommandLine()
    await line.run('run', '-d', '--name', 'web', 'busybox', 'sleep')
    expect(await line.run('exec', '-e', 'A=1', 'web', 'env')).toEqual({ code: 0, stdout: 'A=1\n', stderr: '' })
    expect((await line.run('exec', 'web', 'exit', '7')).code).toBe(7)
    expect((await line.run('exec', 'web', 'nothing-like-it')).code).toBe(127)
    expect(await line.run('exec', 'none', 'true')).toMatchObject({ code: 1, stderr: 'berth: No such container: none\n' })
    const { stdin, stdout, done } = line.start(['exec', '-i', 'web', 'cat'])
    stdin.end('typed')
    expect([await done, stdout.text]).toEqual([0, 'typed'])
    const terminal = line.start(['exec', '-it', 'web', 'size'], { tty: true })
    terminal.stdin.write('x')
    expect([await terminal.done, terminal.stdout.text]).toEqual([0, '24 80\n'])
  })

  it('are attached to', async () => {
    await using line = await openCommandLine()
    await line.run('create', '-i', '--name', 'web', 'busybox', 'cat')
    expect(await line.run('attach', 'web')).toMatchObject({ code: 1, stderr: 'berth: You cannot attach to a stopped container, start it first\n' })
    const { stdin, stdout, done } = line.start(['start', '-ai', 'web'])
    stdin.end('typed')
    expect([await done, stdout.text]).toEqual([0, 'typed'])
  })
})

describe('images', () => {
  it('are pulled, listed, named, pushed and removed', async () => {
    await using line = await openCommandLine()
    expect((await line.run('pull', 'registry.test/app')).stdout).toBe('latest: Pulling from registry.test/app\naaaaaaaaaaaa: Pull complete\nStatus: Downloaded newer image for registry.test/app:latest\nregistry.test/app:latest\n')
    await line.run('tag', 'registry.test/app', 'localhost:5000/mine:2')
    expect((await line.run('images', '--format', '{{.Repository}}:{{.Tag}}')).stdout).toBe('busybox:latest\nregistry.test/app:latest\nlocalhost:5000/mine:2\n')
    expect((await line.run('images')).stdout).toMatch(/^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nbusybox +latest +[0-9a-f]{12} .* ago +1\.02kB\n/)
    expect(await line.run('push', 'localhost:5000/mine:2')).toMatchObject({ code: 0 })
    expect((await line.run('history', 'busybox')).stdout).toMatch(/^IMAGE .*\n[0-9a-f]{12} .* import +1\.02kB\n$/)
    expect((await line.run('rmi', 'localhost:5000/mine:2', 'none')).stdout).toBe('Untagged: localhost:5000/mine:2\n')
    expect(await line.run('image', 'rm', 'none')).toMatchObject({ code: 1, stderr: 'berth: No such image: none:latest\n' })
  })

  it('are pulled with all tags of a name', async () => {
    await using line = await openCommandLine()
    const asked: (string | undefined)[] = []
    const pull = line.backend.images.pull.bind(line.backend.images)
    line.backend.images.pull = (options) => (asked.push(options.tag), pull(options))
    expect((await line.run('pull', '-aq', 'registry.test/app')).stdout).toBe('registry.test/app\n')
    expect(await line.run('pull', '-a', 'registry.test/app:1')).toMatchObject({ code: 1, stderr: "berth: tag can't be used with --all-tags/-a\n" })
    expect(asked).toEqual([undefined])
  })

  it('get no name that is none', async () => {
    await using line = await openCommandLine()
    await line.run('create', '--name', 'web', 'busybox')
    const digest = `mine@sha256:${'0'.repeat(64)}`
    for (const command of [['tag', 'busybox'], ['commit', 'web'], ['import', '-']]) {
      expect(await line.run(...command, digest)).toMatchObject({ code: 1, stderr: 'berth: refusing to create a tag with a digest reference\n' })
      expect(await line.run(...command, 'localhost:5000/mine:a:b')).toMatchObject({ code: 1, stderr: 'berth: invalid reference format\n' })
    }
    expect((await line.run('images', '--format', '{{.Repository}}')).stdout).toBe('busybox\n')
  })

  it('are not pulled when the pull fails', async () => {
    await using line = await openCommandLine()
    expect(await line.run('pull', 'registry.test/broken')).toMatchObject({ code: 1, stderr: 'berth: the registry sent other content than its digest says\n' })
    expect(await line.run('pull', '-q', 'registry.test/app:1')).toEqual({ code: 0, stdout: 'registry.test/app:1\n', stderr: '' })
  })

  it('are imported from a file or standard input', async () => {
    await using line = await openCommandLine()
    const file = `${line.host.slice('unix://'.length)}.tar`
    writeFileSync(file, Buffer.alloc(2000))
    await line.run('import', file, 'mine:1')
    expect((await line.run('image', 'inspect', '-f', '{{.Size}}', 'mine:1')).stdout).toBe('2000\n')
    const { stdin, done } = line.start(['import', '-', 'mine:2'])
    stdin.end('tar')
    expect(await done).toBe(0)
    expect(await line.run('import', '/nowhere.tar', 'mine:3')).toMatchObject({ code: 1, stderr: expect.stringContaining('ENOENT') })
  })
})

describe('networks and volumes', () => {
  it('are managed in their groups', async () => {
    await using line = await openCommandLine()
    expect((await line.run('network', 'create', '--subnet', '10.1.0.0/24', '--gateway', '10.1.0.1', '--label', 'a=b', 'web')).stdout).toMatch(/^[0-9a-f]{64}\n$/)
    expect((await line.run('network', 'inspect', '-f', '{{json .IPAM.Config}} {{json .Labels}}', 'web')).stdout).toBe('[{"Subnet":"10.1.0.0/24","Gateway":"10.1.0.1"}] {"a":"b"}\n')
    expect((await line.run('network', 'ls')).stdout).toMatch(/^NETWORK ID +NAME +DRIVER +SCOPE\n[0-9a-f]{12} +bridge +bridge +local\n[0-9a-f]{12} +web +bridge +local\n$/)
    await line.run('network', 'connect', '--ip', '10.1.0.2', 'web', 'c1')
    expect((await line.run('network', 'inspect', '-f', '{{.Containers.c1.IPv4Address}}', 'web')).stdout).toBe('10.1.0.2\n')
    expect(await line.run('network', 'disconnect', 'web', 'c1')).toMatchObject({ code: 0 })
    expect((await line.run('network', 'rm', 'web', 'bridge')).stderr).toBe('berth: bridge is a pre-defined network and cannot be removed\n')
    expect((await line.run('volume', 'create', 'data')).stdout).toBe('data\n')
    expect((await line.run('volume', 'ls')).stdout).toBe('DRIVER   VOLUME NAME\nlocal    data\n')
    expect((await line.run('volume', 'inspect', '-f', '{{.Mountpoint}}', 'data')).stdout).toBe('/volumes/data/_data\n')
    expect((await line.run('volume', 'rm', 'data')).stdout).toBe('data\n')
  })

  it('are found by inspect whatever they are', async () => {
    await using line = await openCommandLine()
    await line.run('volume', 'create', 'data')
    expect(JSON.parse((await line.run('inspect', 'busybox', 'bridge', 'data')).stdout)).toMatchObject([{ RepoTags: ['busybox:latest'] }, { Name: 'bridge' }, { Name: 'data' }])
    expect(await line.run('inspect', 'none')).toEqual({ code: 1, stdout: '[]\n', stderr: 'berth: no such object: none\n' })
    expect(await line.run('inspect', '--type', 'container', 'data')).toMatchObject({ code: 1, stderr: 'berth: No such container: data\n' })
  })
})

describe('the engine', () => {
  it('tells version, info, use of the disk and events', async () => {
    await using line = await openCommandLine()
    expect((await line.run('version')).stdout).toMatch(/^Client:\n Version: [^]*\nServer: Berth:\n Version: +0\.1\.0\n/)
    expect((await line.run('version', '-f', '{{.Client.ApiVersion}} {{.Server.ApiVersion}}')).stdout).toBe('1.51 1.51\n')
    expect((await line.run('info', '-f', '{{.Driver}}')).stdout).toBe('memory\n')
    expect((await line.run('info')).stdout).toContain('Total Memory:   1GiB\n')
    await line.run('create', '--name', 'web', 'busybox', 'true')
    expect((await line.run('system', 'df')).stdout).toMatch(/^TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE\nImages +1 /)
    expect((await line.run('events', '--since', '1h', '--until', '0s')).stdout).toMatch(/^\S+Z container create [0-9a-f]{64} \(image=busybox, name=web\)\n$/)
  })

  it('prunes only after a yes', async () => {
    await using line = await openCommandLine()
    await line.run('create', '--name', 'web', 'busybox', 'true')
    const no = line.start(['container', 'prune'])
    no.stdin.end('n\n')
    expect([await no.done, no.stdout.text]).toEqual([0, ''])
    const { stdout } = await line.run('system', 'prune', '-f')
    expect(stdout).toMatch(/^Deleted Containers:\n[0-9a-f]{64}\n\nTotal reclaimed space: 0B\n$/)
  })

  it('is said not to run when it does not', async () => {
    await using line = await openCommandLine()
    expect(await line.run('-H', 'unix:///nowhere.sock', 'ps')).toEqual({ code: 1, stdout: '', stderr: 'berth: Cannot connect to the engine at unix:///nowhere.sock. Is the daemon running?\n' })
    expect(await line.run('-H', 'nonsense', 'ps')).toMatchObject({ code: 1, stderr: expect.stringContaining('unable to parse docker host') })
    expect((await line.run('-H', 'unix:///nowhere.sock', 'run', 'busybox')).code).toBe(125)
  })

  it('is carried over standard input and output', async () => {
    await using line = await openCommandLine()
    const { stdin, stdout, done } = line.start(['system', 'dial-stdio'])
    stdin.write('GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n')
    await stdout.seen('OK')
    stdin.end()
    expect(await done).toBe(0)
  })
})

describe('help', () => {
  it('names the commands, and the flags of each', async () => {
    await using line = await openCommandLine()
    expect((await line.run('--help')).stdout).toMatch(/ run .* create a container and run it/)
    const { code, stdout } = await line.run('run', '--help')
    expect(code).toBe(0)
    expect(stdout).toContain('-p, --publish <ports>')
  })

  it('tells of an unknown command in one sentence', async () => {
    await using line = await openCommandLine()
    expect(await line.run('rnu')).toMatchObject({ code: 1, stderr: expect.stringMatching(/^berth: unknown command 'rnu'/) })
  })
})
