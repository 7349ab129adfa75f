import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { busyboxTar, type CommandResult, type Daemon, eventually, TestHost } from '../src/index.ts'

/** Programs that run containers, which a container must not get hold of. */
const runtimes = ['/usr/sbin/runc', '/usr/bin/crun', '/usr/bin/containerd-shim-runc-v2'].filter(existsSync)

const digestOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

describe('attacks of an image or a container', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    writeFileSync(join(host.dir, 'secret'), 'of the machine\n')
    // What links lead to; not the directory that they lie in, as they would lead round and round there.
    mkdirSync(outside())
    // Were an attack to succeed, it would hit copies.
    for (const [index, path] of runtimes.entries()) await host.sh(`cp ${path} ${host.dir}/runtime-${index} && mount --bind ${host.dir}/runtime-${index} ${path}`)
    daemon = await host.startDaemon()
  })
  afterAll(async () => {
    for (const path of runtimes) await host.sh(`umount -l ${path}`)
    await host[Symbol.asyncDispose]()
  })

  const outside = (): string => join(host.dir, 'outside')
  const run = (...args: string[]): Promise<CommandResult> => daemon.docker(['run', '--rm', ...args])

  /** An image of busybox changed by a script that runs in its root file system on the machine. */
  async function image(name: string, script: string, ...changes: string[]): Promise<void> {
    await host.sh(`mkdir ${host.dir}/${name} && cd ${host.dir}/${name} && tar -xf ${busyboxTar()} && ${script} && tar -cf ../${name}.tar . && rm -rf ${host.dir}/${name}`)
    await daemon.ok('import', ...['CMD ["sh"]', ...changes].flatMap((change) => ['--change', change]), join(host.dir, `${name}.tar`), name)
  }

  it('CVE-2024-21626: a working directory that is a leaked descriptor, directly or by a link, leads nowhere', async () => {
    const numbers = Array.from({ length: 6 }, (_none, index) => index + 3)
    await image('leaks', numbers.map((number) => `ln -s /proc/self/fd/${number} leak${number}`).join(' && '))
    // From a directory of the machine, this path would lead to its root.
    const steal = `cat ${'../'.repeat(12).slice(0, -1)}${host.dir}/secret; ls -a; true`
    const id = await daemon.ok('run', '-d', 'leaks', 'sleep', '300')
    for (const number of numbers) {
      const results = [
        await run('-w', number % 2 ? `/proc/self/fd/${number}` : `/leak${number}`, 'leaks', 'sh', '-c', steal),
        await daemon.docker(['exec', '-w', number % 2 ? `/leak${number}` : `/proc/self/fd/${number}`, id, 'sh', '-c', steal]),
      ]
      for (const { stdout } of results) {
        expect(stdout).not.toContain('of the machine')
        // Listed is the container's root or nothing.
        expect(stdout.includes('bundles') || stdout.includes('cgroup.procs')).toBe(false)
      }
    }
    await daemon.ok('rm', '-f', id)
  })

  it('CVE-2024-21626: no descriptor of the engine, the shim or the runtime is open in a container or an exec', async () => {
    const list = 'for f in /proc/self/fd/*; do readlink $f; done | grep -vE "^(pipe|socket|anon_inode):|^/dev/(null|pts/)|^/proc/[0-9]+/fd$"; true'
    const { stdout } = await run('busybox', 'sh', '-c', list)
    expect(stdout).toBe('')
    const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '300')
    expect(await daemon.ok('exec', id, 'sh', '-c', list)).toBe('')
    await daemon.ok('rm', '-f', id)
  })

  it('CVE-2019-5736: the runtime cannot be overwritten by way of /proc/self/exe', async () => {
    await image('overwrite', 'printf "#!/proc/self/exe\\n" > evil && chmod 755 evil && cp evil bin/also-evil')
    const before = runtimes.map(digestOf)
    const copies = runtimes.map((_path, index) => digestOf(join(host.dir, `runtime-${index}`)))
    // Holds every program that it sees run and is not its own, and writes to it as soon as it does not.
    const lurk = 'while true; do for p in /proc/[0-9]*; do case $(readlink $p/exe) in /bin/busybox|"") ;; *) (exec 3< $p/exe; for i in 1 2 3 4 5 6 7 8; do echo pwned > /proc/self/fd/3; done) 2>/dev/null & ;; esac; done; done'
    const id = await daemon.ok('run', '-d', '--pids-limit', '200', 'overwrite', 'sh', '-c', lurk)
    for (let attempt = 0; attempt < 3; attempt++) await daemon.docker(['exec', id, attempt % 2 ? '/evil' : '/bin/also-evil'])
    await run('overwrite', '/evil')
    await daemon.ok('rm', '-f', id)
    expect(runtimes.map(digestOf)).toEqual(before)
    expect(runtimes.map((_path, index) => digestOf(join(host.dir, `runtime-${index}`)))).toEqual(copies)
    expect((await run('busybox', 'echo', 'still runs')).stdout).toBe('still runs\n')
  })

  it('CVE-2022-24769: no capability is inheritable, in a container or an exec, for root or others', async () => {
    const none = /^CapInh:\s+0+$/m
    const id = await daemon.ok('run', '-d', '--cap-add', 'SYS_ADMIN', 'busybox', 'sleep', '300')
    for (const flags of [[], ['-u', 'app'], ['--privileged'], ['--privileged', '-u', 'app']]) {
      expect(await daemon.ok('exec', ...flags, id, 'cat', '/proc/self/status')).toMatch(none)
      expect((await run(...flags, 'busybox', 'cat', '/proc/self/status')).stdout).toMatch(none)
    }
    expect(await daemon.ok('exec', id, 'cat', '/proc/1/status')).toMatch(none)
    await daemon.ok('rm', '-f', id)
  })

  it.each([
    ['gigantic', 'yes nobody:x:1:1 | head -c 20000000 >> etc/passwd && yes other:x:2: | head -c 20000000 >> etc/group'],
    ['a link to the machine’s', 'ln -sf ../../../../../../../../etc/passwd etc/passwd && ln -sf /proc/1/root/etc/group etc/group'],
    ['a link to itself', 'ln -sf passwd etc/passwd && ln -sf /etc/group etc/group'],
    ['not text', 'head -c 500000 /dev/urandom > etc/passwd && head -c 500000 /dev/urandom > etc/group'],
  ])('CVE-2024-9676: a passwd that is %s holds nothing up and leads nowhere', async (what, script) => {
    const name = `passwd-${createHash('sha256').update(what).digest('hex').slice(0, 8)}`
    await image(name, script)
    // A user of the machine, unknown to the image.
    expect((await run('-u', 'games', name, 'true')).stderr).toMatch(/unable to find user games: no matching entries in passwd file/)
    expect((await run('-u', '1000:1000', '--group-add', '77', name, 'sh', '-c', 'grep -E "^(Uid|Gid|Groups)" /proc/self/status | tr "\\t" " "')).stdout).toMatch(/^Uid: 1000 .*\nGid: 1000 .*\nGroups: ?(77 1000|1000 77) ?\n$/)
    const id = await daemon.ok('run', '-d', name, 'sleep', '300')
    expect((await daemon.docker(['exec', '-u', 'games', id, 'true'])).code).not.toBe(0)
    expect(await daemon.ok('exec', '-u', '5:6', id, 'sh', '-c', 'grep -E "^Uid" /proc/self/status | cut -f2')).toBe('5')
    await daemon.ok('rm', '-f', id)
  })

  it.each([
    ['pipe', 'mkfifo etc/passwd'],
    ['directory', 'mkdir etc/passwd'],
    ['device', 'mknod etc/passwd c 1 5'],
  ])('CVE-2024-9676: a passwd that is a %s is refused at once, as the runtime would wait for it', async (what, script) => {
    await image(`passwd-${what}`, `rm etc/passwd && ${script}`)
    for (const user of ['app', '1000', '']) {
      expect((await run(...(user ? ['-u', user] : []), `passwd-${what}`, 'true')).stderr, `as ${user}`).toMatch(/\/etc\/passwd in the container is not a regular file/)
    }
    const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', `rm etc/passwd && ${script} && touch /ready && sleep 300`)
    await eventually(async () => ((await daemon.docker(['exec', id, 'true'])).code === 0 ? undefined : true))
    const { code, stdout, stderr } = await daemon.docker(['exec', '-u', 'app', id, 'true'])
    expect(code).not.toBe(0)
    expect(stdout + stderr).toMatch(/\/etc\/passwd in the container is not a regular file/)
    await daemon.ok('rm', '-f', id)
  })

  it('CVE-2024-40635: a user or group that overflows is refused, from a client, an image or its passwd', async () => {
    const refused = /uids and gids must be in range 0-2147483647/
    await image('overflows', 'echo "evil:x:4294967296:0::/:/bin/sh" >> etc/passwd && echo "sneaky:x:1000:4294967296::/:/bin/sh" >> etc/passwd && echo "wide:x:4294967296:" >> etc/group', 'USER 4294967296')
    for (const user of ['2147483648', '4294967296', '4294967295', '-1', '0:4294967296', '0:-1', 'evil', 'sneaky', 'app:wide', '']) {
      expect((await run(...(user ? ['-u', user] : []), 'overflows', 'id', '-u')).stderr, `as ${user}`).toMatch(refused)
    }
    expect((await run('-u', 'app', '--group-add', '4294967296', 'overflows', 'id')).stderr).toMatch(refused)
    expect((await run('-u', '99999999999999999999', 'overflows', 'id')).stderr).toMatch(/unable to find user 99999999999999999999/)
    expect((await run('-u', '2147483647', 'overflows', 'sh', '-c', 'grep ^Uid /proc/self/status | cut -f2')).stdout).toBe('2147483647\n')
    const id = await daemon.ok('run', '-d', '-u', 'app', 'overflows', 'sleep', '300')
    for (const user of ['4294967296', 'evil', '0:4294967296']) {
      const { code, stdout } = await daemon.docker(['exec', '-u', user, id, 'id', '-u'])
      expect([code === 0, stdout.includes('0\n') && code === 0]).toEqual([false, false])
    }
    await daemon.ok('rm', '-f', id)
  })

  it('a cgroup parent does not lead out of its hierarchy', async () => {
    for (const parent of ['../outside', '/a/../../outside', `${host.cgroupParent}/../outside`, '..']) {
      expect((await daemon.docker(['create', '--cgroup-parent', parent, 'busybox'])).stderr).toMatch(/invalid cgroup parent: .* leads out of its hierarchy/)
    }
    const controllers = readdirSync('/sys/fs/cgroup').map((controller) => join('/sys/fs/cgroup', controller, 'outside'))
    expect(['/sys/fs/cgroup/outside', '/sys/fs/outside', ...controllers].filter(existsSync)).toEqual([])
  })

  it('labels, annotations and triggers of an image do not control the engine', async () => {
    const labels = ['restart-unhealthy="true"', 'exec-on-disconnect="kill"', 'hugetlb.3MB="1"', 'nonsense="1"'].map((label) => `LABEL io.berth.${label}`)
    await image('labelled', 'true', ...labels)
    const id = await daemon.ok('run', '-d', 'labelled', 'sleep', '300')
    const inspected = JSON.parse(await daemon.ok('inspect', '-f', '{{json .HostConfig}}', id)) as { Annotations?: object | null; RestartPolicy: object }
    expect(inspected.Annotations ?? {}).toEqual({})
    expect(inspected.RestartPolicy).toMatchObject({ Name: 'no' })
    const spec = JSON.parse(readFileSync(join(daemon.execRoot, 'bundles', id, 'config.json'), 'utf8')) as { annotations?: object; linux: { resources: object } }
    expect(spec.annotations ?? {}).toEqual({})
    expect(spec.linux.resources).not.toHaveProperty('hugepageLimits')
    expect(await daemon.ok('inspect', '-f', '{{index .Config.Labels "io.berth.nonsense"}}', id)).toBe('1')
    // The same words of whoever makes the container count.
    expect((await daemon.docker(['create', '--annotation', 'io.berth.nonsense=1', 'busybox'])).stderr).toMatch(/invalid annotation/)
    await daemon.ok('rm', '-f', id)
  })

  it('a working directory is made inside, wherever links in the image lead', async () => {
    await image('workdir', `ln -s ../../../../../../../../..${outside()} out && ln -s ${outside()} absolute`)
    for (const path of ['/out/made', '/absolute/made']) {
      const { code, stdout, stderr } = await run('-w', path, 'workdir', 'sh', '-c', 'echo > witness; ls')
      expect(code === 0 ? stdout : stderr).toMatch(code === 0 ? /^witness\n$/ : /mkdir|no such file|chdir/i)
    }
    expect(readdirSync(outside())).toEqual([])
  })

  it('what the engine binds into a container goes to places inside, wherever links in the image lead', async () => {
    await image('linked', `for f in hosts hostname resolv.conf; do ln -sf ../../../../../../../../..${outside()}/$f etc/$f; done; rm -rf sbin && ln -s ../../../../../../../..${outside()} sbin`)
    await run('--init', 'linked', 'true')
    expect(readdirSync(outside())).toEqual([])
  })
})
