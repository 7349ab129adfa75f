import { describe, expect, it } from 'vitest'
import { buildExecProcess, buildSpec, type SpecInput } from './build-spec.ts'

const root = { uid: 0, gid: 0, additionalGids: [] }
const machine: SpecInput['machine'] = {
  cgroups: 1, swap: true, limits: new Set(), hugepageSizes: [], memoryNodes: '0', appArmor: false, initPath: '/usr/bin/tini-static', capabilities: (1n << 41n) - 1n,
} // prettier-ignore

const specOf = (host: SpecInput['host'] = {}, changes: Partial<SpecInput> = {}) =>
  buildSpec({ id: 'a'.repeat(64), config: { Cmd: ['true'], ...changes.config }, host, user: root, netns: '/run/netns/x', volumes: [], files: {}, machine, ...changes })
const mountAt = (spec: ReturnType<typeof specOf>, destination: string) => spec.mounts.find((mount) => mount.destination === destination)

describe('confinement', () => {
  const defaults = [
    'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SETPCAP', 'CAP_NET_BIND_SERVICE', 'CAP_NET_RAW',
    'CAP_SYS_CHROOT', 'CAP_MKNOD', 'CAP_AUDIT_WRITE', 'CAP_SETFCAP',
  ] // prettier-ignore

  it('has the default capabilities, and nothing that is inherited', () => {
    expect(specOf().process.capabilities).toEqual({ bounding: defaults, effective: defaults, permitted: defaults, inheritable: [] })
    expect(specOf({}, { user: { ...root, uid: 1000 } }).process.capabilities).toEqual({ bounding: defaults, inheritable: [] })
  })

  it('adds and drops capabilities by name', () => {
    expect(specOf({ CapAdd: ['net_admin'], CapDrop: ['ALL'] }).process.capabilities.bounding).toEqual(['CAP_NET_ADMIN'])
    expect(specOf({ CapDrop: ['CAP_CHOWN'] }).process.capabilities.bounding).toEqual(defaults.slice(1))
    expect(() => specOf({ CapAdd: ['nonsense'] })).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })

  it('denies every device but the harmless ones', () => {
    const rules = specOf().linux.resources.devices
    expect(rules[0]).toEqual({ allow: false, access: 'rwm' })
    expect(rules.filter(({ allow, access }) => allow && access !== 'm').map(({ major, minor }) => `${major}:${minor ?? '*'}`)).toEqual([
      '1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2', '136:*',
    ]) // prettier-ignore
  })

  it('gives a device that was asked for, with its access', () => {
    const spec = specOf({ Devices: [{ PathOnHost: '/dev/zero', PathInContainer: '/dev/nought', CgroupPermissions: 'r' }] })
    expect(spec.linux.devices).toMatchObject([{ path: '/dev/nought', type: 'c', major: 1, minor: 5 }])
    expect(spec.linux.resources.devices.at(-1)).toEqual({ allow: true, type: 'c', major: 1, minor: 5, access: 'r' })
    expect(() => specOf({ Devices: [{ PathOnHost: '/dev/absent' }] })).toThrow('error gathering device information while adding custom device "/dev/absent"')
  })

  it('hides and protects paths, unless that is given up', () => {
    expect(specOf().linux.maskedPaths).toEqual(expect.arrayContaining(['/proc/kcore', '/proc/keys', '/sys/firmware']))
    expect(specOf().linux.readonlyPaths).toEqual(expect.arrayContaining(['/proc/sys', '/proc/sysrq-trigger']))
    expect(specOf({ SecurityOpt: ['systempaths=unconfined'] }).linux).toMatchObject({ maskedPaths: [], readonlyPaths: [] })
  })

  it('allows system calls by name, and those of a capability with it', () => {
    interface Rule {
      names: string[]
      args?: object[]
    }
    const allowed = (host: SpecInput['host']) => {
      const { defaultAction, syscalls } = specOf(host).linux.seccomp as { defaultAction: string; syscalls: Rule[] }
      expect(defaultAction).toBe('SCMP_ACT_ERRNO')
      return new Set(syscalls.filter(({ args }) => !args).flatMap(({ names }) => names))
    }
    for (const name of ['read', 'execve', 'futex', 'chroot']) expect(allowed({})).toContain(name)
    for (const name of ['mount', 'setns', 'unshare', 'init_module', 'kexec_load', 'bpf', 'io_uring_setup', 'userfaultfd', 'keyctl', 'clock_settime', 'clone']) expect(allowed({})).not.toContain(name)
    for (const name of ['mount', 'unshare', 'clone']) expect(allowed({ CapAdd: ['SYS_ADMIN'] })).toContain(name)
    expect(allowed({ CapDrop: ['SYS_CHROOT'] })).not.toContain('chroot')
    expect(allowed({})).toContain('name_to_handle_at')
    expect(allowed({ CapAdd: ['SYS_ADMIN'] })).toContain('syslog')
    // They reach past the container whatever it was given: a kernel to start next, the machine's swap.
    for (const name of ['kexec_load', 'kexec_file_load', 'swapon', 'swapoff']) expect(allowed({ CapAdd: ['ALL'] })).not.toContain(name)
    expect(specOf({ SecurityOpt: ['seccomp=unconfined'] }).linux.seccomp).toBeUndefined()
    expect(specOf({ SecurityOpt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}'] }).linux.seccomp).toMatchObject({ defaultAction: 'SCMP_ACT_ALLOW' })
    for (const text of ['{', '[]', '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":7}', '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[null]}']) {
      expect(() => specOf({ SecurityOpt: [`seccomp=${text}`] })).toThrow('Decoding seccomp profile failed')
    }
  })

  it('gains no privileges when asked not to, and refuses options it does not know', () => {
    expect(specOf().process.noNewPrivileges).toBe(false)
    expect(specOf({ SecurityOpt: ['no-new-privileges'] }).process.noNewPrivileges).toBe(true)
    expect(specOf({ SecurityOpt: ['no-new-privileges:true'] }).process.noNewPrivileges).toBe(true)
    expect(() => specOf({ SecurityOpt: ['nonsense'] })).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })

  it('lifts all of it for a privileged container', () => {
    const { linux, process, mounts } = specOf({ Privileged: true })
    expect(linux).toMatchObject({ maskedPaths: [], readonlyPaths: [], resources: { devices: [{ allow: true, access: 'rwm' }] } })
    expect(linux.seccomp).toBeUndefined()
    expect(process.capabilities.bounding).toHaveLength(41)
    const poorer = specOf({ Privileged: true }, { machine: { ...machine, capabilities: machine.capabilities & ~(1n << 25n) } })
    expect(poorer.process.capabilities.bounding).toHaveLength(40)
    expect(poorer.process.capabilities.bounding).not.toContain('CAP_SYS_TIME')
    expect(mounts.find(({ destination }) => destination === '/sys')?.options).toContain('rw')
  })
})

describe('resources', () => {
  const limits = { Memory: 64 << 20, NanoCpus: 500_000_000, PidsLimit: 50, MemorySwappiness: 10, OomKillDisable: true }

  it('limits memory, processors and processes on cgroup v1', () => {
    expect(specOf(limits).linux.resources).toMatchObject({
      memory: { limit: 64 << 20, swap: 128 << 20, swappiness: 10, disableOOMKiller: true },
      cpu: { quota: 50_000, period: 100_000 },
      pids: { limit: 50 },
    })
  })

  it('leaves out on cgroup v2 what only v1 knows', () => {
    const { resources, cgroupsPath, namespaces } = specOf(limits, { machine: { ...machine, cgroups: 2 } }).linux
    expect(resources.memory).toEqual({ limit: 64 << 20, swap: 128 << 20 })
    expect(resources).toMatchObject({ cpu: { quota: 50_000, period: 100_000 }, pids: { limit: 50 } })
    expect(cgroupsPath).toBe(`/berth/${'a'.repeat(64)}`)
    expect(namespaces).toContainEqual({ type: 'cgroup' })
    expect(specOf({ CgroupnsMode: 'host' }, { machine: { ...machine, cgroups: 2 } }).linux.namespaces).not.toContainEqual({ type: 'cgroup' })
  })

  it('asks for no swap limit of a kernel that has none', () => {
    expect(specOf(limits, { machine: { ...machine, swap: false } }).linux.resources.memory).not.toHaveProperty('swap')
  })

  it('says nothing of what is not limited', () => {
    expect(Object.keys(specOf().linux.resources)).toEqual(['devices'])
  })
})

describe('namespaces', () => {
  it('joins what is asked for', () => {
    expect(specOf().linux.namespaces.map(({ type }) => type)).toEqual(['mount', 'network', 'uts', 'pid', 'ipc'])
    expect(specOf({ PidMode: 'host', IpcMode: 'host', UTSMode: 'host' }, { netns: 'host' }).linux.namespaces).toEqual([{ type: 'mount' }])
    expect(specOf({}, { joined: { pid: '/proc/7/ns/pid' } }).linux.namespaces).toContainEqual({ type: 'pid', path: '/proc/7/ns/pid' })
  })

  it('has the message queues of its namespace, whether the machine shows its own or not', () => {
    expect(specOf({ IpcMode: 'host' }).mounts).toContainEqual(expect.objectContaining({ destination: '/dev/mqueue', type: 'mqueue' }))
  })

  it('sets the domain name in a way that every runtime knows', () => {
    expect(specOf({}, { config: { Cmd: ['true'], Domainname: 'lan' } }).linux.sysctl).toMatchObject({ 'kernel.domainname': 'lan' })
  })

  it('lets low ports be used without privileges in a network of its own only', () => {
    expect(specOf({ Sysctls: { 'net.ipv4.ping_group_range': '1 0', 'net.ipv4.ip_forward': '1' } }).linux.sysctl).toEqual({
      'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '1 0', 'net.ipv4.ip_forward': '1',
    }) // prettier-ignore
    expect(specOf({}, { netns: 'host' }).linux.sysctl).toBeUndefined()
    expect(specOf({ NetworkMode: 'container:x' }).linux.sysctl).toBeUndefined()
  })
})

describe('the file system', () => {
  it('is read-only when asked', () => {
    expect(specOf().root.readonly).toBe(false)
    expect(specOf({ ReadonlyRootfs: true }).root.readonly).toBe(true)
  })

  it('has its mounts from the outside in, in place of its own', () => {
    const bind = (destination: string) => ({ destination, type: 'bind', source: '/src', options: [] })
    const spec = specOf({}, { volumes: [bind('/a/b'), bind('/a'), bind('/dev/shm')] })
    expect(spec.mounts.slice(-3).map(({ destination }) => destination)).toEqual(['/a', '/a/b', '/dev/shm'])
    expect(spec.mounts.filter(({ destination }) => destination === '/dev/shm')).toHaveLength(1)
  })

  it('has shared memory of the size asked for, or none', () => {
    expect(mountAt(specOf({ ShmSize: 1024 }), '/dev/shm')?.options).toContain('size=1024')
    expect(mountAt(specOf({ IpcMode: 'none' }), '/dev/shm')).toBeUndefined()
  })
})

describe('the process', () => {
  it('runs under an init process when asked', () => {
    const spec = specOf({ Init: true })
    expect(spec.process.args).toEqual(['/sbin/docker-init', '--', 'true'])
    expect(mountAt(spec, '/sbin/docker-init')).toMatchObject({ source: '/usr/bin/tini-static', options: ['bind', 'ro'] })
    expect(() => specOf({ Init: true }, { machine: { ...machine, initPath: undefined } })).toThrow('an init process was asked for')
  })

  it('has a terminal of its first size', () => {
    const spec = specOf({ ConsoleSize: [24, 80] }, { config: { Cmd: ['sh'], Tty: true } })
    expect(spec.process).toMatchObject({ terminal: true, consoleSize: { height: 24, width: 80 } })
    expect(spec.process.env).toContain('TERM=xterm')
  })

  it('has an environment that can unset the defaults', () => {
    const { env } = specOf({}, { config: { Cmd: ['true'], Hostname: 'box', Env: ['A=1', 'PATH'] } }).process
    expect(env).toEqual(['HOSTNAME=box', 'A=1'])
  })

  it('has a process beside it with the same confinement', () => {
    const { process } = specOf({ SecurityOpt: ['no-new-privileges'] }, { config: { Cmd: ['true'], Env: ['A=1', 'B=2'], WorkingDir: '/srv' } })
    const asked = { container: process, host: {}, user: { ...root, uid: 5 }, command: ['id'], env: ['B=3'], workingDir: undefined, terminal: false, privileged: false, machine }
    const exec = buildExecProcess(asked)
    expect(exec).toMatchObject({ args: ['id'], cwd: '/srv', noNewPrivileges: true, user: { uid: 5, gid: 0 }, capabilities: { inheritable: [] } })
    expect(exec.env).toEqual(expect.arrayContaining(['A=1', 'B=3']))
    expect(exec.env).not.toContain('B=2')
    expect(exec.capabilities.effective).toBeUndefined()
    expect(buildExecProcess({ ...asked, privileged: true }).capabilities.bounding).toHaveLength(41)
  })
})
