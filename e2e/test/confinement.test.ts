import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, TestHost } from '../src/index.ts'

describe('confinement', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const inside = (script: string, ...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> => daemon.docker(['run', '--rm', ...flags, 'busybox', 'sh', '-c', script])

  it('gives the default capabilities and nothing to inherit', async () => {
    const { stdout } = await inside('grep Cap /proc/self/status')
    expect(stdout.replaceAll('\t', ' ')).toBe('CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\n')
    expect((await inside('grep CapEff /proc/self/status', '-u', 'app')).stdout).toMatch(/0000000000000000/)
    expect((await inside('grep CapEff /proc/self/status', '--cap-drop', 'all', '--cap-add', 'chown')).stdout).toMatch(/0000000000000001/)
    expect((await inside('true', '--cap-add', 'NOT_THERE')).stderr).toMatch(/unknown capability/)
  })

  it('filters system calls', async () => {
    expect((await inside('grep Seccomp: /proc/self/status')).stdout).toMatch(/Seccomp:\s+2/)
    expect(await inside('unshare -U true')).toMatchObject({ stderr: expect.stringMatching(/Operation not permitted/) })
    // Even with the capability in the bounding set, mounting needs the filter's consent.
    expect((await inside('mount -t tmpfs x /tmp')).code).not.toBe(0)
    expect((await inside('grep Seccomp: /proc/self/status', '--security-opt', 'seccomp=unconfined')).stdout).toMatch(/Seccomp:\s+0/)
  })

  it('masks what tells of the machine and protects what changes it', async () => {
    expect((await inside('for f in kcore keys timer_list; do [ ! -e /proc/$f ] || wc -c < /proc/$f; done; for d in /proc/acpi /proc/scsi /sys/firmware; do [ ! -e $d ] || ls $d | wc -l; done')).stdout).toMatch(/^(0\n)+$/)
    expect((await inside('echo 1 > /proc/sys/kernel/panic')).stderr).toMatch(/Read-only file system/)
    expect((await inside('echo 1 > /proc/irq/default_smp_affinity')).stderr).toMatch(/Read-only file system/)
    expect((await inside('mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x')).stderr).toMatch(/Read-only file system/)
  })

  it('lets only harmless devices be used', async () => {
    const { stdout } = await inside('mknod /disk b 8 0; cat /disk 2>&1; mknod /mem c 1 1; cat /mem 2>&1; head -c 1 /dev/zero | wc -c; echo x > /dev/null && echo fine')
    expect(stdout).toMatch(/cat: can't open '\/disk': (Operation not permitted|No such)[^\n]*\ncat: can't open '\/mem': Operation not permitted\n1\nfine\n/)
    expect((await inside('ls /dev')).stdout).not.toMatch(/sd|vd|kmsg|mem/)
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

  it('opens everything with --privileged', async () => {
    const { stdout } = await inside('grep -E "CapEff|Seccomp:" /proc/self/status; mount -t tmpfs x /tmp && echo mounted', '--privileged')
    const own = /CapBnd:\s+(\w+)/.exec(await host.sh('cat /proc/self/status'))?.[1]
    expect(stdout).toMatch(new RegExp(`CapEff:\\s+${own}\\nSeccomp:\\s+0\\nmounted`))
  })
})
