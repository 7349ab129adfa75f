import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, eventually, TestHost } from '../src/index.ts'

/** Where ranges begin that no file gives away. */
const first = 2 ** 31

/** The first ID of a container's user namespace, as the machine sees it. */
async function rootOf(host: TestHost, daemon: Daemon, name: string): Promise<number> {
  return Number(await host.sh(`stat -c %u /proc/${await daemon.ok('inspect', '-f', '{{.State.Pid}}', name)}`))
}

describe('user namespaces, one for each container', () => {
  let host: TestHost
  let daemon: Daemon
  let bound: string
  beforeAll(async () => {
    host = await TestHost.start()
    // The roots of containers reach their files below it.
    chmodSync(host.dir, 0o711)
    daemon = await host.startDaemon({ flags: ['--userns', 'private'] })
    bound = join(host.dir, 'bound')
    mkdirSync(bound)
    writeFileSync(join(bound, 'file'), 'of the host\n')
    chownSync(join(bound, 'file'), 1000, 1001)
    await daemon.ok('run', '-d', '--name', 'kept', '-p', '8080:80', '-v', `${bound}:/bound`, '-v', `${bound}/file:/one:ro`, '-v', 'named:/named', 'busybox', 'sleep', '1000')
  })
  afterAll(async () => {
    await daemon.docker(['rm', '-f', 'kept'])
    await daemon.docker(['volume', 'rm', 'named'])
    await host[Symbol.asyncDispose]()
  })

  const inside = async (script: string): Promise<string> => daemon.ok('exec', 'kept', 'sh', '-ec', script)

  it('has root inside who is nobody outside, with IDs that no other container has', async () => {
    expect((await inside('cat /proc/self/uid_map; id -u')).replace(/ +/g, ' ')).toBe(` 0 ${first} 65536\n0`)
    expect(await rootOf(host, daemon, 'kept')).toBe(first)
    await daemon.ok('run', '-d', '--name', 'other', 'busybox', 'sleep', '1000')
    expect(await rootOf(host, daemon, 'other')).toBe(first + 65_536)
    await daemon.ok('rm', '-f', 'other')
    // What it gave back is free for the next one.
    expect(await daemon.ok('run', '--rm', 'busybox', 'cat', '/proc/self/uid_map')).toMatch(new RegExp(` ${first + 65_536} `))
    expect(await daemon.ok('run', '--rm', '--userns', 'host', 'busybox', 'cat', '/proc/self/uid_map')).toMatch(/ 4294967295$/)
    expect(await daemon.ok('info', '-f', '{{.SecurityOptions}}')).toMatch(/name=userns/)
  })

  it('shows the owners of files as the image, the volumes and the host have them, and changes none of them', async () => {
    expect(await inside('stat -c "%u %g" /bin /etc/hosts /etc/resolv.conf /named /bound/file /one')).toBe('0 0\n0 0\n0 0\n0 0\n1000 1001\n1000 1001')
    await inside('echo a > /bound/made; echo b > /named/made; chown 5:6 /named/made; echo >> /etc/hosts; echo out > /dev/stdout; ! echo x > /one')
    expect(statSync(join(bound, 'made'))).toMatchObject({ uid: 0, gid: 0 })
    expect(statSync(join(daemon.dataRoot, 'volumes/named/_data/made'))).toMatchObject({ uid: 5, gid: 6 })
    const owners = readdirSync(join(daemon.dataRoot, 'snapshots'), { recursive: true, withFileTypes: true }).map((entry) => lstatSync(join(entry.parentPath, entry.name)).uid)
    expect(owners.filter((uid) => uid >= first)).toEqual([])
  })

  it('keeps its files from the machine’s other users, and those of a container from another container', async () => {
    const id = await daemon.ok('inspect', '-f', '{{.Id}}', 'kept')
    const passwd = join(daemon.execRoot, 'bundles', id, 'rootfs/etc/passwd')
    const readAs = (uid: number) => host.run('setpriv', ['--reuid', String(uid), '--regid', String(uid), '--clear-groups', 'cat', passwd])
    expect((await readAs(first)).stdout).toContain('root:x:0:0')
    for (const uid of [1234, first + 65_536]) expect((await readAs(uid)).stderr, `as ${uid}`).toContain('Permission denied')
  })

  it('keeps what only root of the machine may do from root of the container', async () => {
    writeFileSync(join(host.dir, 'secret'), 'x', { mode: 0o600 })
    const pid = await daemon.ok('inspect', '-f', '{{.State.Pid}}', 'kept')
    await expect(host.sh(`nsenter --user --target ${pid} -S 0 -G 0 cat ${host.dir}/secret`)).rejects.toThrow(/Permission denied/)
    expect((await daemon.docker(['exec', 'kept', 'sh', '-c', 'echo 1 > /proc/sys/kernel/panic; mknod /null c 1 3'])).stderr).toMatch(/panic: [\s\S]*mknod: \/null: Operation not permitted/)
  })

  it('owns its network: low ports, ping and NET_ADMIN', async () => {
    await inside('mkdir -p /www; echo up > /www/index.html; httpd -h /www; ping -c 1 127.0.0.1 >/dev/null')
    await eventually(async () => ((await host.fetch('http://127.0.0.1:8080/')).stdout === 'up\n' ? true : undefined), { what: 'the published port' })
    expect(await daemon.ok('run', '--rm', '--cap-add', 'NET_ADMIN', 'busybox', 'sh', '-ec', 'ip link add made type bridge; ip link show made; cat /proc/sys/net/ipv4/ping_group_range')).toMatch(/made:[\s\S]*0\t65535$/)
    expect((await daemon.docker(['run', '--rm', 'busybox', 'ip', 'link', 'add', 'made', 'type', 'bridge'])).stderr).toMatch(/Operation not permitted/)
    expect(await daemon.ok('run', '--rm', '-u', 'app', 'busybox', 'sh', '-c', 'nc -l -p 81 < /dev/null & until netstat -ltn | grep -q :81; do usleep 10000; done; echo listens')).toBe('listens')
  })

  it('copies both ways, exports, tells changes and commits with the owners that the container sees', async () => {
    const archive = join(host.dir, 'archive')
    mkdirSync(archive)
    writeFileSync(join(archive, 'given'), 'given')
    chownSync(join(archive, 'given'), 7, 8)
    await inside('mkdir /made; echo k > /made/f; chown 33:44 /made/f')
    await daemon.ok('cp', '-a', `${archive}/given`, 'kept:/given')
    expect(await inside('stat -c "%u %g" /given')).toBe('7 8')
    const listed = `tar tv --numeric-owner -f - | awk '{ print $2, $6 }'`
    const docker = `docker -H unix://${daemon.socket}`
    expect(await host.sh(`${docker} cp kept:/made - | ${listed}`)).toBe('0/0 made/\n33/44 made/f\n')
    expect(await host.sh(`${docker} cp kept:/bound/file - | ${listed}`)).toBe('1000/1001 file\n')
    expect(await host.sh(`${docker} export kept | ${listed} | grep -E '(given|made/f)$'`)).toBe('7/8 given\n33/44 made/f\n')
    expect(await daemon.ok('diff', 'kept')).toMatch(/A \/made\/f/)
    await daemon.ok('commit', 'kept', 'committed')
    expect(await daemon.ok('run', '--rm', '--userns', 'host', 'committed', 'stat', '-c', '%u %g', '/made', '/made/f', '/given')).toBe('0 0\n33 44\n7 8')
    await daemon.ok('rmi', 'committed')
    await daemon.ok('stop', '-t', '0', 'kept')
    await daemon.ok('cp', '-a', `${archive}/given`, 'kept:/later')
    expect(await host.sh(`${docker} cp kept:/made - | ${listed}`)).toBe('0/0 made/\n33/44 made/f\n')
    await daemon.ok('start', 'kept')
    expect(await inside('stat -c "%u %g" /later /made/f')).toBe('7 8\n33 44')
    await daemon.ok('exec', '-u', '1000', 'kept', 'true')
    expect(await daemon.ok('top', 'kept', '-o', 'pid,args')).toMatch(/sleep 1000/)
    expect(await daemon.ok('stats', '--no-stream', '--format', '{{.PIDs}}', 'kept')).toBe('1')
  })

  it('gives terminals, devices, an init and what lies in memory to root of the container', async () => {
    expect(await daemon.ok('run', '--rm', '-t', '--init', '--read-only', '--tmpfs', '/t', '--device', '/dev/null:/dev/mine', 'busybox', 'sh', '-ec', 'stat -c %u /dev/console /t /dev/shm; echo x > /dev/mine; tty')).toMatch(/^0\r\n0\r\n0\r\n\/dev\/pts\/0/)
  })

  it('lets containers that join others into their user namespace', async () => {
    const joined = await daemon.ok('run', '--rm', '--network', 'container:kept', '--pid', 'container:kept', 'busybox', 'sh', '-c', 'cat /proc/self/uid_map; kill -0 1 && ip address show eth0 | grep -c inet')
    expect(joined).toMatch(new RegExp(`^ +0 +${first} +65536\\n1$`))
    await daemon.ok('run', '-d', '--name', 'other', 'busybox', 'sleep', '1000')
    expect((await daemon.docker(['run', '--rm', '--network', 'container:kept', '--pid', 'container:other', 'busybox', 'true'])).stderr).toMatch(/different user namespaces/)
    await daemon.ok('rm', '-f', 'other')
  })

  it('refuses what cannot be, as Docker does', async () => {
    const refused = async (...flags: string[]): Promise<string> => (await daemon.docker(['run', '--rm', ...flags, 'busybox', 'true'])).stderr
    expect(await refused('--privileged')).toMatch(/privileged mode is incompatible with user namespaces\. {2}You must run the container in the host namespace when running privileged mode/)
    expect(await refused('--network', 'host')).toMatch(/cannot share the host's network namespace when user namespaces are enabled/)
    expect(await refused('--pid', 'host')).toMatch(/cannot share the host PID namespace when user namespaces are enabled/)
    expect(await refused('-v', '/proc:/p')).toMatch(/\/proc cannot be had in a user namespace, as the kernel or a file system there cannot map owners/)
    expect(await refused('--privileged', '--userns', 'host')).toBe('')
  })

  it('is found again by a daemon that was killed, and taken down when its container ended meanwhile', async () => {
    await daemon.crash()
    await daemon.restart()
    expect(await inside('stat -c "%u %g" /made/f; echo again >> /made/f')).toBe('33 44')
    await daemon.ok('run', '-d', '--name', 'gone', '-v', `${bound}:/bound`, 'busybox', 'sleep', '1000')
    const pid = await daemon.ok('inspect', '-f', '{{.State.Pid}}', 'gone')
    const mounts = async (): Promise<string> => host.sh(`grep -c ${daemon.execRoot}/bundles /proc/self/mountinfo || true`)
    const before = Number(await mounts())
    await daemon.crash()
    await host.sh(`kill -9 ${pid}; until ! kill -0 ${pid} 2>/dev/null; do busybox usleep 20000; done`)
    await daemon.restart()
    await eventually(async () => ((await daemon.ok('inspect', '-f', '{{.State.Status}}', 'gone')) === 'exited' ? true : undefined))
    // Its root file system, its namespace and its bind.
    await eventually(async () => (Number(await mounts()) === before - 3 ? true : undefined), { what: 'the end of its mounts' })
    await daemon.ok('start', 'gone')
    expect(Number(await mounts())).toBe(before)
    await daemon.ok('rm', '-f', 'gone')
    expect(readFileSync(join(bound, 'file'), 'utf8')).toBe('of the host\n')
  })
})

describe('user namespaces of dockerd', () => {
  let host: TestHost
  beforeAll(async () => {
    host = await TestHost.start()
    chmodSync(host.dir, 0o711)
    await host.sh('mkdir /run/etc; cp -a /etc/passwd /run/etc; for f in subuid subgid; do echo "sam:300000:65536" > /run/etc/$f; touch /etc/$f; mount --bind /run/etc/$f /etc/$f; done')
  })
  afterAll(async () => {
    await host.sh('umount /etc/subuid /etc/subgid; rm -r /run/etc')
    await host[Symbol.asyncDispose]()
  })

  it('maps all containers to the IDs of one user with --userns-remap, and shares IPC as Docker does', async () => {
    const daemon = await host.startDaemon({ flags: ['--userns-remap', 'sam'] })
    await daemon.ok('run', '-d', '--name', 'donor', '--ipc', 'shareable', '--shm-size', '12m', 'busybox', 'sleep', '1000')
    await daemon.ok('run', '-d', '--name', 'selfish', 'busybox', 'sleep', '1000')
    expect(await rootOf(host, daemon, 'donor')).toBe(300_000)
    expect(await rootOf(host, daemon, 'selfish')).toBe(300_000)
    expect(await daemon.ok('run', '--rm', '--ipc', 'container:donor', 'busybox', 'sh', '-c', 'echo shared > /dev/shm/note; df -m /dev/shm | tail -n 1')).toMatch(/^shm +12 /)
    expect(await daemon.ok('exec', 'donor', 'cat', '/dev/shm/note')).toBe('shared')
    expect((await daemon.docker(['run', '--rm', '--ipc', 'container:selfish', 'busybox', 'true'])).stderr).toMatch(/can't join IPC of container \w+: non-shareable IPC \(hint: use IpcMode:shareable for the donor container\)/)
    await daemon.ok('rm', '-f', 'donor', 'selfish')
  })
})
