import type { ContainerConfig, HostConfig } from '@berth/api-types'
import { describe, expect, it } from 'vitest'
import { buildExecProcess, buildSpec, type MachineFeatures, type SpecInput } from '../src/spec/index.ts'
import { faultsOf } from './oci-schema.ts'

/** Numbers in an order that is always the same (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const throttle = [{ Path: '/dev/null', Rate: 1_048_576 }]

/** What a request may say of each member. */
const hostChoices: { [Member in keyof HostConfig]?: HostConfig[Member][] } = {
  Privileged: [true, false],
  Memory: [0, 64 << 20],
  MemorySwap: [0, -1, 128 << 20],
  MemoryReservation: [32 << 20],
  MemorySwappiness: [0, 60],
  OomKillDisable: [true, false],
  KernelMemoryTCP: [1 << 20],
  NanoCpus: [1_500_000_000, 333_333_333],
  CpuShares: [2, 1024],
  CpuPeriod: [50_000],
  CpuQuota: [-1, 25_000],
  CpuRealtimePeriod: [1_000_000],
  CpuRealtimeRuntime: [950_000],
  CpusetCpus: ['0-1,3'],
  CpusetMems: ['0'],
  PidsLimit: [-1, 0, 100],
  BlkioWeight: [10, 1000],
  BlkioWeightDevice: [[{ Path: '/dev/null', Weight: 100 }]],
  BlkioDeviceReadBps: [throttle],
  BlkioDeviceWriteBps: [throttle],
  BlkioDeviceReadIOps: [throttle],
  BlkioDeviceWriteIOps: [throttle],
  Ulimits: [[{ Name: 'nofile', Soft: 1024, Hard: 2048 }, { Name: 'core', Soft: -1, Hard: -1 }]],
  OomScoreAdj: [-1000, 0, 1000],
  Devices: [[{ PathOnHost: '/dev/null', PathInContainer: '/dev/nothing', CgroupPermissions: 'rw' }]],
  DeviceCgroupRules: [['c 1:3 rwm', 'b *:* m', 'a 7:* r']],
  Annotations: [{ 'io.berth.hugetlb.2MB': '4194304', 'com.example.a': 'b' }],
  CapAdd: [['ALL'], ['NET_ADMIN', 'cap_sys_time']],
  CapDrop: [['ALL'], ['CHOWN']],
  SecurityOpt: [
    ['seccomp=unconfined'], ['no-new-privileges'], ['systempaths=unconfined'], ['apparmor=unconfined'],
    ['seccomp={"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":null}],"syscalls":[{"name":"read","action":"SCMP_ACT_ALLOW","args":null,"comment":"","includes":{},"excludes":{}},{"names":["write"],"action":"SCMP_ACT_ALLOW"}]}'],
  ],
  ReadonlyRootfs: [true],
  ShmSize: [16 << 20],
  IpcMode: ['private', 'none', 'host'],
  PidMode: ['host', ''],
  UTSMode: ['host', ''],
  CgroupnsMode: ['host', 'private'],
  Init: [true, false],
  Sysctls: [{ 'net.ipv4.ip_forward': '1', 'kernel.shmmax': '1000000' }],
  CgroupParent: ['/own', 'own.slice'],
  MaskedPaths: [[], ['/proc/kcore']],
  ReadonlyPaths: [[]],
  ConsoleSize: [[24, 80]],
} // prettier-ignore

const configChoices: { [Member in keyof ContainerConfig]?: ContainerConfig[Member][] } = {
  Hostname: ['box'],
  Domainname: ['lan'],
  Tty: [true, false],
  Env: [['A=1', 'PATH']],
  Entrypoint: [['/bin/sh', '-c']],
  WorkingDir: ['/srv'],
}

function choose<T extends object>(random: () => number, choices: { [Member in keyof T]?: T[Member][] }): T {
  const members = Object.entries(choices) as [string, unknown[]][]
  return Object.fromEntries(members.filter(() => random() < 0.3).map(([name, values]) => [name, values[Math.floor(random() * values.length)]])) as T
}

function inputOf(seed: number): SpecInput {
  const random = numbers(seed)
  const machine: MachineFeatures = {
    cgroups: random() < 0.5 ? 1 : 2, swap: random() < 0.5, limits: new Set(), hugepageSizes: ['2MB'], memoryNodes: '0', appArmor: false,
    initPath: '/usr/bin/tini-static', capabilities: (1n << 41n) - 1n,
  } // prettier-ignore
  return {
    id: 'a'.repeat(64), machine, config: { ...choose(random, configChoices), Cmd: ['true'] }, host: choose(random, hostChoices),
    user: random() < 0.5 ? { uid: 0, gid: 0, additionalGids: [0, 10] } : { uid: 1000, gid: 1000, additionalGids: [] },
    netns: random() < 0.3 ? 'host' : '/run/netns/x',
    volumes: random() < 0.5 ? [] : [{ destination: '/data', type: 'bind', source: '/srv', options: ['rbind', 'ro', 'rprivate'] }, { destination: '/t', type: 'tmpfs', source: 'tmpfs', options: ['size=1m'] }],
    files: random() < 0.5 ? {} : { hosts: '/h', resolvConf: '/r', hostname: '/n' },
    defaults: random() < 0.5 ? undefined : { noNewPrivileges: true, seccompProfile: 'unconfined', ulimits: [{ Name: 'nproc', Soft: 10, Hard: 20 }] },
  } // prettier-ignore
}

describe('the OCI configuration', () => {
  it('is what the specification calls one, for any request', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const input = inputOf(seed)
      expect(faultsOf(buildSpec(input)), `request ${seed}: ${JSON.stringify(input.host)}`).toEqual([])
    }
  })

  it('of an exec is one too', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const input = inputOf(seed)
      const spec = buildSpec(input)
      const process = buildExecProcess({
        container: spec.process, host: input.host, user: { uid: 5, gid: 6, additionalGids: [6] }, command: ['id'], env: ['A=2'], workingDir: undefined,
        terminal: seed % 2 === 0, consoleSize: { width: 80, height: 24 }, privileged: seed % 3 === 0, machine: input.machine,
      }) // prettier-ignore
      expect(faultsOf({ ...spec, process })).toEqual([])
      expect(process.capabilities.inheritable).toEqual([])
    }
  })

  it('is held against the schema, which finds faults', () => {
    const spec = buildSpec(inputOf(1))
    expect(faultsOf({ ...spec, process: { ...spec.process, cwd: 7 } })).not.toEqual([])
    expect(faultsOf({ ...spec, linux: { ...spec.linux, namespaces: [{ type: 'nonsense' }] } })).not.toEqual([])
    expect(faultsOf({ ...spec, linux: { ...spec.linux, resources: { ...spec.linux.resources, pids: { limit: 'x' } } } })).not.toEqual([])
  })
})
