import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, DockerDaemon, TestHost } from '../src/index.ts'

interface Spec {
  ociVersion: string
  hostname?: string
  root: { path: string; readonly?: boolean }
  process: { env: string[]; capabilities?: Record<string, string[] | undefined>; [name: string]: unknown }
  mounts: { destination: string; type: string; source: string; options: string[] }[]
  hooks?: unknown
  linux: {
    namespaces: { type: string; path?: string }[]
    resources: { devices: Record<string, unknown>[]; memory?: Record<string, unknown>; cpu?: Record<string, unknown>; blockIO?: Record<string, unknown>; [name: string]: unknown }
    maskedPaths?: string[]
    cgroupsPath: string
    seccomp?: { syscalls: { names: string[]; action: string; args?: unknown[] }[] }
    [name: string]: unknown
  }
  [name: string]: unknown
}

/**
 * Where a configuration of ours is meant to differ from that of dockerd (20.10) for the same request, and why; each takes its difference out of ours, or out of
 * dockerd's, so that what is left must be equal.
 */
const intended: { what: string; why: string; ours?: (spec: Spec) => void; theirs?: (spec: Spec) => void }[] = [
  {
    what: 'dockerd puts the network into the container by a hook',
    why: 'a namespace that is there before the container needs no program of the engine run by the runtime',
    theirs: (spec) => delete spec.hooks,
  },
  {
    what: 'the network namespace has a path, and the host network is no namespace at all',
    why: 'as above',
    ours: (spec) => (spec.linux.namespaces = spec.linux.namespaces.map(({ type, path }) => (type === 'network' ? { type } : { type, path: path ?? '' }))),
    theirs: (spec) => (spec.linux.namespaces = spec.linux.namespaces.filter(({ type, path }) => type !== 'network' || !path?.endsWith('/default')).map(({ type, path }) => (type === 'network' ? { type } : { type, path: path ?? '' }))),
  },
  {
    what: 'the root file system is mounted by the shim below the bundle',
    why: 'no program is spent on the mount, and it goes with the task',
    ours: (spec) => (spec.root.path = 'ROOT'),
    theirs: (spec) => (spec.root.path = 'ROOT'),
  },
  {
    what: 'device rules for FUSE are not denied, those for terminals and /dev/full are allowed, and device nodes may be made',
    why: 'everything is denied before; the runtime adds the same rules to those of dockerd',
    ours: (spec) => (spec.linux.resources.devices = spec.linux.resources.devices.filter(({ allow, major, minor, access }) => !(allow && (access === 'm' && major === undefined || major === 136 || [[1, 7], [5, 2]].some(([a, b]) => a === major && b === minor))))),
    theirs: (spec) => (spec.linux.resources.devices = spec.linux.resources.devices.filter(({ allow, major }) => allow || major !== 10)),
  },
  {
    what: 'what is not limited is not said',
    why: 'zero means the same to the runtime, but writes files of the control group at each start',
    theirs: ({ linux: { resources } }) => {
      if (resources.memory?.['disableOOMKiller'] === false) delete resources.memory['disableOOMKiller']
      if (resources.cpu?.['shares'] === 0) delete resources.cpu['shares']
      if (resources.blockIO?.['weight'] === 0) delete resources.blockIO['weight']
    },
  },
  {
    what: 'no limit of swap is said',
    why: 'so that an update to it has an effect',
    ours: ({ linux: { resources } }) => resources.memory?.['swap'] === -1 && delete resources.memory['swap'],
  },
  {
    what: 'volumes say that they are written to, and that mounts of the machine below them do not appear',
    why: 'dockerd leaves it to the runtime, with which they do',
    ours: ({ mounts }) => mounts.forEach((mount) => (mount.source === 'VOLUME' ? (mount.options = ['rbind']) : undefined)),
  },
  {
    what: 'interrupts and power capping are masked too',
    why: 'later versions of dockerd mask them too: they tell of what others on the machine do (GHSA-jq35-85cj-fj4p)',
    ours: (spec) => (spec.linux.maskedPaths = spec.linux.maskedPaths?.filter((path) => !['/proc/interrupts', '/sys/devices/virtual/powercap'].includes(path))),
  },
  {
    what: 'the cgroup file system has relatime',
    why: 'as the runtime specification has it in its example; without meaning for cgroupfs',
    ours: ({ mounts }) => mounts.forEach((mount) => (mount.type === 'cgroup' ? (mount.options = mount.options.filter((option) => option !== 'relatime')) : undefined)),
  },
  {
    what: 'a tmpfs has no propagation',
    why: 'a new file system is private unless asked otherwise',
    theirs: ({ mounts }) => mounts.forEach((mount) => (mount.type === 'tmpfs' ? (mount.options = mount.options.filter((option) => option !== 'rprivate')) : undefined)),
  },
  {
    what: 'the set of inheritable capabilities is there, and empty',
    why: 'dockerd writes none, which means the same (CVE-2022-24769)',
    ours: ({ process }) => delete process.capabilities?.['inheritable'],
  },
  {
    what: 'the filter of system calls',
    why: 'it is a list of our own; a test of its own compares what the two let through',
    ours: ({ linux }) => delete linux.seccomp,
    theirs: ({ linux }) => delete linux.seccomp,
  },
  {
    what: 'the version of the specification',
    why: 'dockerd writes the one that it was compiled with',
    ours: (spec) => (spec.ociVersion = ''),
    theirs: (spec) => (spec.ociVersion = ''),
  },
]

/** Requests as flags of `docker run -d`. */
const requests: Record<string, string[]> = {
  'nothing special': [],
  'memory and processors': ['-m', '64m', '--memory-reservation', '32m', '--memory-swappiness', '10', '--cpus', '0.5', '--cpu-shares', '512', '--cpuset-cpus', '0', '--pids-limit', '50'],
  'quota, period and no swap limit': ['-m', '64m', '--memory-swap', '-1', '--cpu-quota', '50000', '--cpu-period', '200000', '--oom-kill-disable'],
  'disk throttles': ['--device-read-bps', '/dev/loop0:1mb', '--device-write-iops', '/dev/loop0:100'],
  'limits of processes': ['--ulimit', 'nofile=100:200', '--ulimit', 'core=0', '--oom-score-adj', '100'],
  'namespaces of the host': ['--network', 'host', '--pid', 'host', '--ipc', 'host', '--uts', 'host'],
  'a user, groups, names, a directory': ['-u', 'app', '--group-add', 'wheel', '--group-add', '77', '-w', '/data/new', '-e', 'A=1', '-e', 'PATH', '-h', 'box', '--domainname', 'lan'],
  'a user by numbers': ['-u', '123:456', '--read-only', '--entrypoint', 'sleep'],
  'read-only, tmpfs, shared memory, init': ['--read-only', '--tmpfs', '/t:size=1m,mode=700', '--shm-size', '16m', '--init'],
  'kernel settings': ['--sysctl', 'net.ipv4.ip_forward=1', '--sysctl', 'kernel.shmmax=1000000', '--network', 'none'],
  'devices and capabilities': ['--device', '/dev/fuse:/dev/second-fuse:r', '--device-cgroup-rule', 'c 1:3 mr', '--cap-add', 'SYS_ADMIN', '--cap-drop', 'CHOWN'],
  'no capabilities, no new ones': ['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--ipc', 'none'],
  'a mount and no filter': ['-v', '/usr/share:/host:ro', '-v', '/data', '--security-opt', 'seccomp=unconfined'],
  'a terminal': ['-t', '-i', '--cgroupns', 'private'],
} // prettier-ignore

/** Without what is named after the container or its daemon, and in one order. */
function normal(spec: Spec, id: string): Spec {
  const text = JSON.stringify(spec).replaceAll(id, 'ID').replaceAll(id.slice(0, 12), 'SHORT')
  const copy = JSON.parse(text) as Spec
  for (const mount of copy.mounts) {
    mount.options = mount.options.toSorted()
    if (mount.type !== 'bind') continue
    if (/\/volumes\//.test(mount.source)) mount.source = 'VOLUME'
    else if (/\/(hosts|hostname|resolv\.conf)$|tini/.test(mount.source)) mount.source = 'SOURCE'
  }
  copy.mounts = copy.mounts.toSorted((a, b) => (a.destination < b.destination ? -1 : 1))
  copy.linux.cgroupsPath = 'CGROUP'
  copy.linux.maskedPaths = copy.linux.maskedPaths?.toSorted()
  const [everything, ...allowed] = copy.linux.resources.devices
  copy.linux.resources.devices = [...(everything ? [everything] : []), ...allowed.toSorted((a, b) => (JSON.stringify(sorted(a)) < JSON.stringify(sorted(b)) ? -1 : 1))]
  copy.linux.namespaces = copy.linux.namespaces.toSorted((a, b) => (a.type < b.type ? -1 : 1))
  copy.process.capabilities = Object.fromEntries(Object.entries(copy.process.capabilities ?? {}).map(([set, names]) => [set, names?.toSorted()]))
  return copy
}

function sorted(value: object): object {
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** What is false, empty or absent, which the runtime does not tell from each other. */
function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === false || value === '' || (typeof value === 'object' && Object.values(value).every(isNothing))
}

/** Where two values differ, one line each. */
function differences(ours: unknown, theirs: unknown, path = ''): string[] {
  if (isNothing(ours) && isNothing(theirs)) return []
  const [own, other] = [ours, theirs].map((value) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined))
  if (!own || !other) return ours === theirs ? [] : [`${path}: ${JSON.stringify(ours)} is ${JSON.stringify(theirs)} with dockerd`]
  return [...new Set([...Object.keys(own), ...Object.keys(other)])].flatMap((key) => differences(own[key], other[key], `${path}/${key}`))
}

describe.skipIf(!DockerDaemon.isInstalled())('the OCI configurations of berthd and dockerd', () => {
  let host: TestHost
  let berth: Daemon
  let docker: DockerDaemon | undefined
  beforeAll(async () => {
    host = await TestHost.start()
    berth = await host.startDaemon()
    docker = await DockerDaemon.start(host)
  })
  afterAll(async () => {
    await docker?.[Symbol.asyncDispose]()
    await host[Symbol.asyncDispose]()
  })

  function dockerd(): DockerDaemon {
    if (!docker) throw new Error('dockerd did not start')
    return docker
  }

  async function specs(flags: string[]): Promise<{ ours: Spec; theirs: Spec }> {
    const run = ['run', '-d', ...flags, 'busybox', ...(flags.includes('--entrypoint') ? ['60'] : ['sleep', '60'])]
    const [own, other] = await Promise.all([berth.ok(...run), dockerd().ok(...run)])
    const [id, theirId] = [own.split('\n').at(-1) ?? '', other.split('\n').at(-1) ?? '']
    const ours = normal(JSON.parse(readFileSync(join(berth.execRoot, 'bundles', id, 'config.json'), 'utf8')) as Spec, id)
    const theirs = normal(dockerd().specOf(theirId) as Spec, theirId)
    await Promise.all([berth.ok('rm', '-f', '-v', id), dockerd().ok('rm', '-f', '-v', theirId)])
    return { ours, theirs }
  }

  it.each(Object.keys(requests))('are the same for %s, but for what is meant to differ', async (name) => {
    const { ours, theirs } = await specs(requests[name] ?? [])
    for (const difference of intended) {
      difference.ours?.(ours)
      difference.theirs?.(theirs)
    }
    expect(differences(ours, theirs)).toEqual([])
  })

  it('differ in each of the ways that are meant', async () => {
    const { ours, theirs } = await specs(['--tmpfs', '/t', '-v', '/data', '-m', '64m', '--memory-swap', '-1'])
    for (const { what, ours: change, theirs: changeTheirs } of intended) {
      const before = JSON.stringify([ours, theirs])
      change?.(ours)
      changeTheirs?.(theirs)
      expect(JSON.stringify([ours, theirs]), `${what}`).not.toBe(before)
    }
  })

  it('let nothing through that dockerd does not, but for calls that are newer than it', async () => {
    const { ours, theirs } = await specs([])
    const allowed = ({ linux }: Spec): Set<string> => new Set((linux.seccomp?.syscalls ?? []).filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && !args?.length).flatMap(({ names }) => names))
    const known = allowed(theirs)
    const newer = [
      // Of kernels from 5.10 on, let through by later versions of Docker.
      'cachestat', 'fchmodat2', 'futex_requeue', 'futex_wait', 'futex_waitv', 'futex_wake', 'getxattrat', 'landlock_add_rule', 'landlock_create_ruleset', 'landlock_restrict_self',
      'listxattrat', 'map_shadow_stack', 'memfd_secret', 'mseal', 'process_mrelease', 'removexattrat', 'set_mempolicy_home_node', 'setxattrat', 'process_madvise',
      'process_vm_readv', 'process_vm_writev', 'pkey_alloc', 'pkey_free', 'pkey_mprotect', 'epoll_pwait2', 'close_range', 'openat2', 'faccessat2', 'pidfd_open', 'pidfd_send_signal',
      // For everybody since Docker 25.
      'name_to_handle_at',
    ] // prettier-ignore
    expect([...allowed(ours)].filter((name) => !known.has(name) && !newer.includes(name))).toEqual([])
  })
})
