import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CommandResult, type Daemon, eventually, TestHost } from '../src/index.ts'

describe('confinement', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const inside = (script: string, ...flags: string[]): Promise<CommandResult> => daemon.docker(['run', '--rm', ...flags, 'busybox', 'sh', '-c', script])
  const refusal = async (...flags: string[]): Promise<string> => (await daemon.docker(['create', ...flags, 'busybox'])).stderr

  it('gives the default capabilities and nothing to inherit', async () => {
    const { stdout } = await inside('grep Cap /proc/self/status')
    expect(stdout.replaceAll('\t', ' ')).toBe('CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\n')
    expect((await inside('grep CapEff /proc/self/status', '-u', 'app')).stdout).toMatch(/0000000000000000/)
    expect((await inside('grep CapEff /proc/self/status', '--cap-drop', 'all', '--cap-add', 'chown')).stdout).toMatch(/0000000000000001/)
    expect(await refusal('--cap-add', 'NOT_THERE')).toMatch(/invalid CapAdd: unknown capability: "CAP_NOT_THERE"/)
    expect(await refusal('--cap-drop', 'NOT_THERE')).toMatch(/invalid CapDrop: unknown capability: "CAP_NOT_THERE"/)
  })

  it('filters system calls', async () => {
    expect((await inside('grep Seccomp: /proc/self/status')).stdout).toMatch(/Seccomp:\s+2/)
    expect(await inside('unshare -U true')).toMatchObject({ stderr: expect.stringMatching(/Operation not permitted/) })
    // Even with the capability in the bounding set, mounting needs the filter's consent.
    expect((await inside('mount -t tmpfs x /tmp')).code).not.toBe(0)
    expect((await inside('grep Seccomp: /proc/self/status', '--security-opt', 'seccomp=unconfined')).stdout).toMatch(/Seccomp:\s+0/)
  })

  it('filters system calls by a profile in a file', async () => {
    const profile = join(host.dir, 'seccomp.json')
    writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }] }))
    expect((await inside('mkdir /tmp/x', '--security-opt', `seccomp=${profile}`)).stderr).toMatch(/Function not implemented/)
    // A privileged container has a filter only when it asks for one.
    expect((await inside('mkdir /tmp/x', '--privileged', '--security-opt', `seccomp=${profile}`)).stderr).toMatch(/Function not implemented/)
    writeFileSync(profile, '{}')
    expect(await refusal('--security-opt', `seccomp=${profile}`)).toMatch(/Decoding seccomp profile failed/)
  })

  it('refuses security options that it could not keep', async () => {
    expect(await refusal('--security-opt', 'label=type:svirt_t')).toMatch(/SELinux labels are not supported/)
    expect(await refusal('--security-opt', 'unknown=1')).toMatch(/invalid --security-opt 2: "unknown=1"/)
    expect((await inside('echo fine', '--security-opt', 'label=disable', '--security-opt', 'apparmor=unconfined')).stdout).toBe('fine\n')
  })

  it('masks what tells of the machine and protects what changes it', async () => {
    expect((await inside('for f in kcore keys timer_list; do [ ! -e /proc/$f ] || wc -c < /proc/$f; done; for d in /proc/acpi /proc/scsi /sys/firmware; do [ ! -e $d ] || ls $d | wc -l; done')).stdout).toMatch(/^(0\n)+$/)
    expect((await inside('echo 1 > /proc/sys/kernel/panic')).stderr).toMatch(/Read-only file system/)
    expect((await inside('echo 1 > /proc/irq/default_smp_affinity')).stderr).toMatch(/Read-only file system/)
    expect((await inside('mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x')).stderr).toMatch(/Read-only file system/)
    expect((await inside('wc -c < /proc/timer_list; mount | grep -c "on /proc/"', '--security-opt', 'systempaths=unconfined')).stdout).toMatch(/^[1-9]\d+\n0\n$/)
  })

  it('lets only harmless devices be used', async () => {
    const { stdout } = await inside('mknod /disk b 8 0; cat /disk 2>&1; mknod /mem c 1 1; cat /mem 2>&1; head -c 1 /dev/zero | wc -c; echo x > /dev/null && echo fine')
    expect(stdout).toMatch(/cat: can't open '\/disk': (Operation not permitted|No such)[^\n]*\ncat: can't open '\/mem': Operation not permitted\n1\nfine\n/)
    expect((await inside('ls /dev')).stdout).not.toMatch(/sd|vd|kmsg|mem/)
  })

  it('gives the devices that were asked for, all in a directory too, with their access', async () => {
    expect((await inside('head -c 1 /dev/second-null | wc -c; echo x > /dev/second-null', '--device', '/dev/kmsg:/dev/second-null:w')).stderr).toMatch(/can't open '\/dev\/second-null'|Operation not permitted/)
    expect((await inside('ls /dev/net', '--device', '/dev/net')).stdout).toBe('tun\n')
    expect((await inside('mknod /m c 1 11 && head -c 1 /m >/dev/null; echo $?', '--device-cgroup-rule', 'c 1:11 r')).stdout).not.toMatch(/Operation not permitted/)
    expect((await daemon.docker(['run', '--rm', '--device', '/etc/passwd', 'busybox', 'true'])).stderr).toMatch(/"\/etc\/passwd": not a device node/)
    expect((await daemon.docker(['run', '--rm', '--device', '/dev/absent', 'busybox', 'true'])).stderr).toMatch(/error gathering device information while adding custom device "\/dev\/absent": no such file or directory/)
    expect(await refusal('--device-cgroup-rule', 'c 1:3 x')).toMatch(/invalid device cgroup rule format|invalid argument/)
  })

  it('gains no privileges when told so', async () => {
    expect((await inside('grep NoNewPrivs /proc/self/status', '--security-opt', 'no-new-privileges')).stdout).toMatch(/NoNewPrivs:\s+1/)
    expect((await inside('grep NoNewPrivs /proc/self/status')).stdout).toMatch(/NoNewPrivs:\s+0/)
  })

  it('has namespaces of its own', async () => {
    const own = (await inside('for n in pid net mnt uts ipc; do readlink /proc/self/ns/$n; done')).stdout.trim().split('\n')
    const outer = (await host.sh('for n in pid net mnt uts ipc; do readlink /proc/self/ns/$n; done')).trim().split('\n')
    expect(own).toHaveLength(5)
    for (const [index, namespace] of own.entries()) expect(namespace).not.toBe(outer[index])
    expect((await inside('ps | wc -l')).stdout.trim()).toMatch(/^[34]$/)
  })

  it('shares the machine’s or another container’s namespaces when asked to', async () => {
    const outer = (await host.sh('for n in pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done')).trim()
    const script = 'for n in pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done'
    expect((await inside(script, '--pid', 'host', '--network', 'host', '--uts', 'host', '--ipc', 'host', '--cgroupns', 'host')).stdout.trim()).toBe(outer)
    expect((await inside('readlink /proc/self/ns/cgroup', '--cgroupns', 'private')).stdout.trim()).not.toBe(outer.split('\n').at(-1))
    const id = await daemon.ok('run', '-d', '--ipc', 'shareable', 'busybox', 'sleep', '300')
    const theirs = await daemon.ok('exec', id, 'sh', '-c', 'for n in pid net ipc; do readlink /proc/self/ns/$n; done')
    expect((await inside('for n in pid net ipc; do readlink /proc/self/ns/$n; done', '--pid', `container:${id}`, '--network', `container:${id}`, '--ipc', `container:${id}`)).stdout.trim()).toBe(theirs)
    const closed = await daemon.ok('run', '-d', 'busybox', 'sleep', '300')
    expect((await inside('true', '--ipc', `container:${closed}`)).stderr).toMatch(/non-shareable IPC \(hint: use IpcMode:shareable for the donor container\)/)
    await daemon.ok('stop', '-t', '0', id)
    expect((await inside('true', '--pid', `container:${id}`)).stderr).toMatch(/cannot join PID of a non running container/)
    await daemon.ok('rm', '-f', id, closed)
    for (const [flag, message] of [['--pid', /invalid PID mode|invalid pid mode/i], ['--ipc', /invalid IPC mode/i], ['--uts', /invalid UTS mode/i], ['--cgroupns', /invalid cgroup ?(namespace|ns)? ?mode/i]] as const) {
      expect(await refusal(flag, 'nonsense')).toMatch(message)
    }
  })

  it('sets the kernel’s settings of its namespaces only', async () => {
    const flags = ['--sysctl', 'net.ipv4.ip_forward=1', '--sysctl', 'kernel.shmmax=1000000', '--sysctl', 'fs.mqueue.msg_max=20']
    expect((await inside('cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max', ...flags)).stdout).toBe('1\n1000000\n20\n')
    const { stderr } = await daemon.docker(['create', '--network', 'host', '--sysctl', 'net.ipv4.ip_forward=1', 'busybox'])
    expect(stderr).toMatch(/sysctl "net\.ipv4\.ip_forward" not allowed in host network namespace|cannot be used with network mode host/)
    expect(await refusal('--ipc', 'host', '--sysctl', 'kernel.shmmax=1')).toMatch(/sysctl "kernel\.shmmax" is not allowed in the hosts ipc namespace/)
  })

  it('runs as the user and the groups asked for, by name or number', async () => {
    expect((await inside('id', '-u', 'app', '--group-add', 'wheel', '--group-add', '77')).stdout).toMatch(/^uid=1000\(app\) gid=1000\(app\) groups=10\(wheel\),77,1000\(app\),1001\(extra\)\n$|^uid=1000\(app\) gid=1000\(app\) groups=(?=.*10\(wheel\))(?=.*77)(?=.*1001\(extra\))/)
    expect((await inside('id -u; id -g', '-u', '12:nogroup')).stdout).toBe('12\n65534\n')
    expect((await inside('id', '-u', 'ghost')).stderr).toMatch(/unable to find user ghost: no matching entries in passwd file/)
    expect((await inside('id', '--group-add', 'ghost')).stderr).toMatch(/unable to find group ghost: no matching entries in group file/i)
  })

  it('has a directory to start in, made where it is missing, a name, a domain and other hosts', async () => {
    const flags = ['-w', '/deep/er', '-h', 'box', '--domainname', 'lan', '--add-host', 'other:10.1.2.3', '--add-host', 'gate:host-gateway']
    const { stdout } = await inside('pwd; stat -c "%u %a" /deep/er; hostname; cat /proc/sys/kernel/domainname; grep -E "other|gate" /etc/hosts', ...flags)
    expect(stdout).toMatch(/^\/deep\/er\n0 755\nbox\nlan\n10\.1\.2\.3\s+other\n172\.17\.0\.1\s+gate\n$/)
    expect(await refusal('-h', 'a b')).toMatch(/invalid hostname/)
  })

  it('has a read-only root, memory in files, and a first process when asked for', async () => {
    const flags = ['--read-only', '--tmpfs', '/t:size=1m,mode=700', '--shm-size', '16m', '--init']
    const { stdout, stderr } = await inside('touch /x; echo 1 > /etc/hosts; df -k /t /dev/shm | awk \'NR > 1 { print $2 }\'; stat -c %a /t; cat /proc/1/comm', ...flags)
    expect(stderr.match(/Read-only file system/g)).toHaveLength(2)
    expect(stdout).toBe('1024\n16384\n700\ndocker-init\n')
    expect((await inside('cat /proc/1/comm', '--init', '--pid', 'host')).stdout).not.toMatch(/docker-init/)
  })

  it('ends by the signal and in the time asked for', async () => {
    const id = await daemon.ok('run', '-d', '--stop-signal', 'USR1', '--stop-timeout', '30', 'busybox', 'sh', '-c', 'trap "echo told; exit 7" USR1; echo ready; while true; do sleep 0.1; done')
    await eventually(async () => ((await daemon.ok('logs', id)).includes('ready') ? true : undefined))
    await daemon.ok('stop', id)
    expect(await daemon.ok('inspect', '-f', '{{.State.ExitCode}} {{.Config.StopSignal}} {{.Config.StopTimeout}}', id)).toBe('7 USR1 30')
    await daemon.ok('rm', id)
    expect(await refusal('--stop-signal', 'NONSENSE')).toMatch(/[Ii]nvalid signal: NONSENSE/)
  })

  it('opens everything with --privileged', async () => {
    const { stdout } = await inside('grep -E "CapEff|Seccomp:" /proc/self/status; mount -t tmpfs x /tmp && echo mounted; head -c 0 /dev/kmsg && echo device', '--privileged')
    const own = /CapBnd:\s+(\w+)/.exec(await host.sh('cat /proc/self/status'))?.[1]
    expect(stdout).toMatch(new RegExp(`CapEff:\\s+${own}\\nSeccomp:\\s+0\\nmounted\\ndevice`))
  })

  it('refuses what only Windows has, or nothing does', async () => {
    expect(await refusal('--isolation', 'hyperv')).toMatch(/Invalid isolation: "hyperv" - linux only supports 'default'/)
    expect(await refusal('--storage-opt', 'size=1G')).toMatch(/--storage-opt size is not supported/)
    expect(await refusal('--annotation', 'io.berth.nonsense=1')).toMatch(/invalid annotation io\.berth\.nonsense=1/)
  })

  it('has an OCI runtime told its annotations', async () => {
    const id = await daemon.ok('run', '-d', '--annotation', 'com.example.key=value', 'busybox', 'sleep', '300')
    expect(JSON.parse(await host.sh(`cat ${daemon.execRoot}/bundles/${id}/config.json`))).toMatchObject({ annotations: { 'com.example.key': 'value' } })
    expect(await daemon.ok('inspect', '-f', '{{json .HostConfig.Annotations}}', id)).toBe('{"com.example.key":"value"}')
    await daemon.ok('rm', '-f', id)
  })

  it('keeps everything but a loopback interface from a container whose network is disabled', async () => {
    const body = JSON.stringify({ Image: 'busybox', Cmd: ['sleep', '300'], NetworkDisabled: true })
    const curl = `curl -sS --unix-socket ${daemon.socket} -H 'Content-Type: application/json'`
    const { Id } = JSON.parse(await host.sh(`${curl} -d '${body}' http://d/containers/create`)) as { Id: string }
    await daemon.ok('start', Id)
    expect(await daemon.ok('exec', Id, 'ls', '/sys/class/net')).toBe('lo')
    await daemon.ok('rm', '-f', Id)
  })
})

describe('defaults of the daemon for containers', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    const profile = join(host.dir, 'seccomp.json')
    writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }] }))
    const flags = ['--init', '--default-ulimit', 'nofile=100:200', '--default-ulimit', 'core=0', '--default-shm-size', '16m', '--default-ipc-mode', 'shareable', '--default-cgroupns-mode', 'private', '--no-new-privileges']
    daemon = await host.startDaemon({ flags: [...flags, '--seccomp-profile', profile] })
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it('count where a container does not say', async () => {
    const script = 'cat /proc/1/comm; ulimit -n; ulimit -c; df -k /dev/shm | awk \'NR > 1 { print $2 }\'; grep NoNewPrivs /proc/self/status | tr -d "\\t"; mkdir /x'
    const { stdout, stderr } = await daemon.docker(['run', '--name', 'plain', 'busybox', 'sh', '-c', script])
    expect(stdout).toBe('docker-init\n100\n0\n16384\nNoNewPrivs:1\n')
    expect(stderr).toMatch(/Function not implemented/)
    expect(await daemon.ok('info', '-f', '{{.SecurityOptions}}')).toMatch(/name=seccomp,profile=custom.*name=no-new-privileges/)
    expect(await daemon.ok('inspect', '-f', '{{.HostConfig.IpcMode}} {{.HostConfig.CgroupnsMode}} {{.HostConfig.ShmSize}}', 'plain')).toBe(`shareable private ${16 << 20}`)
    await daemon.ok('rm', 'plain')
  })

  it('do not count where it says', async () => {
    const flags = ['--init=false', '--ulimit', 'nofile=50', '--shm-size', '1m', '--ipc', 'private', '--security-opt', 'no-new-privileges=false', '--security-opt', 'seccomp=unconfined']
    const script = 'cat /proc/1/comm; ulimit -n; ulimit -c; df -k /dev/shm | awk \'NR > 1 { print $2 }\'; grep -E "NoNewPrivs|Seccomp:" /proc/self/status | tr -d "\\t"'
    expect((await daemon.docker(['run', '--rm', ...flags, 'busybox', 'sh', '-c', script])).stdout).toBe('sh\n50\n0\n1024\nNoNewPrivs:0\nSeccomp:0\n')
  })
})
