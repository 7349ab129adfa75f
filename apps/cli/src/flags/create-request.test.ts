import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ContainerCreateRequest } from '@berth/api-types'
import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CliIo } from '../cli.ts'
import { addCreateFlags, type CreateFlags } from './create-flags.ts'
import { createRequest } from './create-request.ts'
import { attachedStreams } from './streams.ts'

const refused = expect.objectContaining({ kind: 'invalid-argument' })
const io = { stdout: {}, env: {} } as unknown as CliIo

function requestOf(...args: string[]): ContainerCreateRequest {
  const command = addCreateFlags(new Command('run')).exitOverride().argument('[image]').configureOutput({ writeErr: () => {} })
  command.parse(args, { from: 'user' })
  const flags = command.opts<CreateFlags>()
  return createRequest('busybox', [], flags, { io, streams: attachedStreams(flags) })
}

describe('flags of run and create', () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'create-request-'))
    writeFileSync(join(directory, 'profile.json'), '{\n  "defaultAction": "SCMP_ACT_ALLOW"\n}\n')
    writeFileSync(join(directory, 'broken.json'), '{')
    writeFileSync(join(directory, 'labels'), '# labels\nfrom=file\nboth=file\n')
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  const file = (name: string): string => join(directory, name)

  it.each([
    ['--annotation a=b --annotation c', { Annotations: { a: 'b', c: '' } }],
    ['--restart-unhealthy --exec-on-disconnect kill --hugetlb 2MB=64m', { Annotations: { 'io.berth.restart-unhealthy': 'true', 'io.berth.exec-on-disconnect': 'kill', 'io.berth.hugetlb.2MB': String(64 << 20) } }],
    ['--cgroupns private --uts host --userns private --pid container:web', { CgroupnsMode: 'private', UTSMode: 'host', UsernsMode: 'private', PidMode: 'container:web' }],
    ['--runtime crun --isolation default', { Runtime: 'crun', Isolation: 'default' }],
    ['--device /dev/fuse --device vendor.com/gpu=all --device /dev/a:/dev/b:r', {
      Devices: [{ PathOnHost: '/dev/fuse', PathInContainer: '/dev/fuse', CgroupPermissions: 'rwm' }, { PathOnHost: '/dev/a', PathInContainer: '/dev/b', CgroupPermissions: 'r' }],
      DeviceRequests: [{ Driver: 'cdi', DeviceIDs: ['vendor.com/gpu=all'] }],
    }],
    ['--gpus all', { DeviceRequests: [{ Driver: '', Count: -1, Capabilities: [['gpu']] }] }],
    ['--gpus 2', { DeviceRequests: [{ Driver: '', Count: 2, Capabilities: [['gpu']] }] }],
    ['--gpus "device=0,1",driver=x,capabilities=compute', { DeviceRequests: [{ Driver: 'x', Count: 0, DeviceIDs: ['0', '1'], Capabilities: [['compute', 'gpu']] }] }],
    ['--security-opt systempaths=unconfined', { MaskedPaths: [], ReadonlyPaths: [] }],
    ['--security-opt no-new-privileges --security-opt seccomp=unconfined', { SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'] }],
    ['--ulimit nofile=10:20 --ulimit core=-1 --ulimit stack=unlimited', { Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }, { Name: 'core', Soft: -1, Hard: -1 }, { Name: 'stack', Soft: -1, Hard: -1 }] }],
    ['--blkio-weight 500 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1m --device-write-iops /dev/sda:9', {
      BlkioWeight: 500, BlkioWeightDevice: [{ Path: '/dev/sda', Weight: 200 }], BlkioDeviceReadBps: [{ Path: '/dev/sda', Rate: 1 << 20 }], BlkioDeviceWriteIOps: [{ Path: '/dev/sda', Rate: 9 }],
    }],
    ['--cpu-period 1000 --cpu-quota 500 --cpu-rt-period 2 --cpu-rt-runtime 1 --cpuset-mems 0', { CpuPeriod: 1000, CpuQuota: 500, CpuRealtimePeriod: 2, CpuRealtimeRuntime: 1, CpusetMems: '0' }],
    ['--memory-reservation 8m --memory-swappiness 0 --oom-kill-disable', { MemoryReservation: 8 << 20, MemorySwappiness: 0, OomKillDisable: true }],
    ['--storage-opt size=1g --volume-driver x --link db:database', { StorageOpt: { size: '1g' }, VolumeDriver: 'x', Links: ['db:database'] }],
    ['--log-driver syslog --log-opt tag={{.Name}}', { LogConfig: { Type: 'syslog', Config: { tag: '{{.Name}}' } } }],
    ['--network name=web,alias=a', { NetworkMode: 'web' }],
  ])('%s', (text, host) => {
    expect(requestOf(...text.split(' ')).HostConfig).toEqual(expect.objectContaining(host))
  })

  it.each([
    ['-a stdout', { AttachStdin: false, AttachStdout: true, AttachStderr: false, OpenStdin: false }],
    ['-i', { AttachStdin: true, AttachStdout: true, OpenStdin: true, StdinOnce: true }],
    ['-i -a stderr', { AttachStdin: false, AttachStdout: false, AttachStderr: true, OpenStdin: true, StdinOnce: false }],
    ['--domainname d.test --health-cmd x --health-start-interval 1s', { Domainname: 'd.test', Healthcheck: { Test: ['CMD-SHELL', 'x'], StartInterval: 1e9 } }],
    ['--network name=web,alias=a,ip=10.0.0.2,mac-address=02:00:00:00:00:01,driver-opt=k=v,gw-priority=2 --network other', {
      NetworkingConfig: { EndpointsConfig: { web: { Aliases: ['a'], IPAMConfig: { IPv4Address: '10.0.0.2' }, MacAddress: '02:00:00:00:00:01', DriverOpts: { k: 'v' }, GwPriority: 2 }, other: {} } },
    }],
    ['--network web --ip6 fd00::2 --link-local-ip 169.254.1.1 --link db', { NetworkingConfig: { EndpointsConfig: { web: { IPAMConfig: { IPv6Address: 'fd00::2', LinkLocalIPs: ['169.254.1.1'] }, Links: ['db'] } } } }],
  ])('%s, beside the host configuration', (text, request) => {
    expect(JSON.parse(JSON.stringify(requestOf(...text.split(' '))))).toEqual(expect.objectContaining(request))
  })

  it('reads files of this machine: a seccomp profile, labels', () => {
    expect(requestOf('--security-opt', `seccomp=${file('profile.json')}`).HostConfig?.SecurityOpt).toEqual(['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'])
    expect(requestOf('--label-file', file('labels'), '-l', 'both=flag').Labels).toEqual({ from: 'file', both: 'flag' })
  })

  it.each([
    '--security-opt nonsense', '--security-opt seccomp=/no/such/profile', '--exec-on-disconnect perhaps', '--hugetlb 2MB', '--hugetlb ../../x=1', '--cgroupns other', '--uts container:x', '--userns other', '--pid other',
    '--device relative', '--device /dev/a:/dev/b:z', '--device-read-bps sda:1m', '--device-read-iops /dev/sda:1m', '--blkio-weight-device /dev/sda:5', '--gpus many', '--gpus count=1,device=0', '--gpus nonsense=1',
    '--ulimit nofile=20:10', '--ulimit nofile', '--memory-swappiness 101', '--log-driver none --log-opt a=b', '--no-healthcheck --health-cmd x', '-a nothing', '-d -a stdout', '--network alias=a', '--network name=a,nonsense=b',
    '--network name=a,alias=b --network-alias c', '--rm --restart always', '--restart always:3', '--memory much',
  ])('%s is refused', (text) => {
    const detach = text.startsWith('-d ')
    expect(() => (detach ? attachedStreams({ detach, attach: ['stdout'] }) : requestOf(...text.split(' ')))).toThrow(refused)
  }) // prettier-ignore

  it('refuses a profile that is no JSON, and rules of devices that are none', () => {
    expect(() => requestOf('--security-opt', `seccomp=${file('broken.json')}`)).toThrow(refused)
    expect(() => requestOf('--device-cgroup-rule', 'c 1:1 x')).toThrow(refused)
    expect(requestOf('--device-cgroup-rule', 'c 10:* rwm').HostConfig?.DeviceCgroupRules).toEqual(['c 10:* rwm'])
  })
})
