import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerCreateRequest } from '@berth/api-types'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeEngine, fakeEngine } from './fake-engine.ts'

interface Schema {
  $ref?: string
  type?: string
  properties?: Record<string, Schema>
  allOf?: Schema[]
  items?: Schema
  additionalProperties?: Schema | boolean
}

const repository = join(import.meta.dirname, '../../../..')
const { definitions } = JSON.parse(readFileSync(join(repository, 'packages/foundation/api-types/spec/engine-api-v1.51.json'), 'utf8')) as { definitions: Record<string, Schema> }

/** Every member that a schema has, those of lists and maps included: `HostConfig.Mounts.Type`. */
function membersOf(schema: Schema, path: string): string[] {
  if (schema.$ref) return membersOf(definitions[schema.$ref.split('/').at(-1) ?? ''] ?? {}, path)
  if (schema.allOf) return schema.allOf.flatMap((part) => membersOf(part, path))
  if (schema.items) return membersOf(schema.items, path)
  if (schema.properties) return Object.entries(schema.properties).flatMap(([name, member]) => membersOf(member, `${path}.${name}`))
  if (typeof schema.additionalProperties === 'object') return membersOf(schema.additionalProperties, path)
  return [path]
}

const all = ['ContainerConfig', 'HostConfig', 'NetworkingConfig'].flatMap((name) => membersOf({ $ref: name }, name))

const confinement = 'e2e/test/confinement.test.ts'
const limits = 'e2e/test/limits.test.ts'
const networks = 'packages/services/network-manager/test/containers.integration.test.ts'
const mounts = 'packages/services/volume-manager/src/parse-mounts.test.ts'

/** Members that have an effect: the file and the title of a test that shows it. */
const honoured: [file: string, title: string, members: string[]][] = [
  [confinement, 'has a directory to start in, made where it is missing, a name, a domain and other hosts', ['ContainerConfig.Hostname', 'ContainerConfig.Domainname', 'ContainerConfig.WorkingDir', 'HostConfig.ExtraHosts']],
  [confinement, 'runs as the user and the groups asked for, by name or number', ['ContainerConfig.User', 'HostConfig.GroupAdd']],
  [confinement, 'ends by the signal and in the time asked for', ['ContainerConfig.StopSignal', 'ContainerConfig.StopTimeout']],
  [confinement, 'keeps everything but a loopback interface from a container whose network is disabled', ['ContainerConfig.NetworkDisabled']],
  [confinement, 'has an OCI runtime told its annotations', ['HostConfig.Annotations']],
  [confinement, 'gives the default capabilities and nothing to inherit', ['HostConfig.CapAdd', 'HostConfig.CapDrop']],
  [confinement, 'filters system calls by a profile in a file', ['HostConfig.SecurityOpt']],
  [confinement, 'masks what tells of the machine and protects what changes it', ['HostConfig.MaskedPaths', 'HostConfig.ReadonlyPaths']],
  [confinement, 'opens everything with --privileged', ['HostConfig.Privileged']],
  [confinement, 'shares the machine’s or another container’s namespaces when asked to', ['HostConfig.PidMode', 'HostConfig.IpcMode', 'HostConfig.UTSMode', 'HostConfig.CgroupnsMode', 'HostConfig.NetworkMode']],
  [confinement, 'sets the kernel’s settings of its namespaces only', ['HostConfig.Sysctls']],
  [confinement, 'has a read-only root, memory in files, and a first process when asked for', ['HostConfig.ReadonlyRootfs', 'HostConfig.Tmpfs', 'HostConfig.ShmSize', 'HostConfig.Init']],
  [confinement, 'gives the devices that were asked for, all in a directory too, with their access', ['HostConfig.Devices.PathOnHost', 'HostConfig.Devices.PathInContainer', 'HostConfig.Devices.CgroupPermissions', 'HostConfig.DeviceCgroupRules']],
  ['e2e/test/userns.test.ts', 'has root inside who is nobody outside, with IDs that no other container has', ['HostConfig.UsernsMode']],
  ['e2e/test/cdi.test.ts', 'gives what the specification says to containers that ask for a device', ['HostConfig.DeviceRequests.Driver', 'HostConfig.DeviceRequests.DeviceIDs']],
  [limits, 'are in the control group', ['HostConfig.Memory', 'HostConfig.MemoryReservation', 'HostConfig.MemorySwap', 'HostConfig.NanoCpus', 'HostConfig.PidsLimit', 'HostConfig.CpuShares', 'HostConfig.CpusetCpus', 'HostConfig.CpusetMems']],
  [limits, 'that only cgroup v1 has are there, and real-time scheduling as far as the machine shares it', ['HostConfig.MemorySwappiness', 'HostConfig.OomKillDisable', 'HostConfig.CpuPeriod', 'HostConfig.CpuQuota', 'HostConfig.CpuRealtimePeriod', 'HostConfig.CpuRealtimeRuntime']],
  [limits, 'of disks are in the control group', ['ReadBps', 'WriteBps', 'ReadIOps', 'WriteIOps'].flatMap((limit) => [`HostConfig.BlkioDevice${limit}.Path`, `HostConfig.BlkioDevice${limit}.Rate`])],
  [limits, 'that the kernel lacks are warned of, or refused, and others are there', ['HostConfig.BlkioWeight']],
  ['packages/services/container-runtime/test/oci-spec.test.ts', 'is what the specification calls one, for any request', ['HostConfig.BlkioWeightDevice.Path', 'HostConfig.BlkioWeightDevice.Weight', 'HostConfig.ConsoleSize']],
  [limits, 'of processes are those asked for, and the rest the daemon’s', ['HostConfig.Ulimits.Name', 'HostConfig.Ulimits.Soft', 'HostConfig.Ulimits.Hard', 'HostConfig.OomScoreAdj']],
  [limits, 'are below the group asked for, which cannot lead out of the hierarchy', ['HostConfig.CgroupParent']],
  ['e2e/test/run.test.ts', 'says hello', ['ContainerConfig.Image', 'ContainerConfig.Cmd', 'HostConfig.AutoRemove']],
  ['e2e/test/run.test.ts', 'pipes 100 MB through cat byte for byte', ['ContainerConfig.OpenStdin', 'ContainerConfig.AttachStdin', 'ContainerConfig.AttachStdout']],
  ['e2e/test/run.test.ts', 'keeps standard output and standard error apart', ['ContainerConfig.AttachStderr']],
  ['e2e/test/run.test.ts', 'names and labels', ['ContainerConfig.Labels']],
  ['e2e/test/streams.test.ts', 'leaves the input open for the next client, unless it is to be read once', ['ContainerConfig.StdinOnce']],
  ['e2e/test/terminal.test.ts', 'is a terminal, with one stream for both outputs', ['ContainerConfig.Tty']],
  ['e2e/test/dockerd-specs.test.ts', 'are the same for %s, but for what is meant to differ', ['ContainerConfig.Env', 'ContainerConfig.Entrypoint']],
  ['e2e/test/lifecycle.test.ts', 'tells of its health', ['Test', 'Interval', 'Timeout', 'Retries', 'StartPeriod', 'StartInterval'].map((name) => `ContainerConfig.Healthcheck.${name}`)],
  ['packages/services/container-runtime/test/fields.test.ts', 'gives a health check in words to the shell of the image or the request', ['ContainerConfig.Shell']],
  ['packages/services/container-runtime/test/fields.test.ts', 'moves the address of older clients to the endpoint of the main network', ['ContainerConfig.MacAddress', 'NetworkingConfig.EndpointsConfig.MacAddress']],
  ['packages/services/container-runtime/test/fields.test.ts', 'asks the other services for what is theirs', ['ContainerConfig.ExposedPorts', 'HostConfig.PublishAllPorts', 'HostConfig.Dns', 'HostConfig.DnsOptions', 'HostConfig.DnsSearch']],
  ['packages/services/container-runtime/test/commit.test.ts', 'makes an image of the layer and the config', ['ContainerConfig.OnBuild']],
  ['e2e/test/lifecycle.test.ts', 'restarts as its policy says', ['HostConfig.RestartPolicy.Name', 'HostConfig.RestartPolicy.MaximumRetryCount']],
  ['e2e/test/logs.test.ts', 'has a default of its own, bounded, and refuses what drivers do not take', ['HostConfig.LogConfig.Type', 'HostConfig.LogConfig.Config']],
  ['e2e/test/runtimes.test.ts', 'are refused in Docker’s words when there are none of the name', ['HostConfig.Runtime']],
  ['e2e/test/networks.test.ts', 'publishes a port on loopback and on the address of the host', ['HostConfig.PortBindings.HostIp', 'HostConfig.PortBindings.HostPort']],
  [networks, 'find those that they are linked to in their hosts file', ['HostConfig.Links']],
  [networks, 'have links on networks of the user’s own by their endpoints only, whatever else a client sends', ['NetworkingConfig.EndpointsConfig.Links']],
  [networks, 'have the addresses that they ask for', ['NetworkingConfig.EndpointsConfig.IPAMConfig.IPv4Address', 'NetworkingConfig.EndpointsConfig.IPAMConfig.IPv6Address']],
  [networks, 'are on several networks, and leave by the one of the highest priority', ['NetworkingConfig.EndpointsConfig.GwPriority']],
  ['e2e/test/networks.test.ts', 'lets containers of one network find each other by name, and keeps others out', ['NetworkingConfig.EndpointsConfig.Aliases']],
  ['packages/services/network-manager/test/networks.test.ts', 'has only the options that its driver takes', ['NetworkingConfig.EndpointsConfig.DriverOpts']],
  ['e2e/test/volumes.test.ts', 'shows a directory of the host, read-only when asked', ['HostConfig.Binds']],
  ['packages/services/volume-manager/test/volume-manager.integration.test.ts', 'takes over the mounts of another, which keep its volumes alive', ['HostConfig.VolumesFrom']],
  ['packages/services/volume-manager/test/volume-manager.integration.test.ts', 'has its mounts from reserve to release', ['Target', 'Source', 'Type', 'VolumeOptions.NoCopy', 'VolumeOptions.Labels', 'VolumeOptions.DriverConfig.Name', 'VolumeOptions.DriverConfig.Options', 'BindOptions.CreateMountpoint'].map((name) => `HostConfig.Mounts.${name}`)],
  [mounts, 'gives the place of an anonymous volume to whatever else is wanted there', ['ContainerConfig.Volumes']],
  [mounts, 'gives volumes without a driver of their own the one that was named for all', ['HostConfig.VolumeDriver']],
  [mounts, 'honours every option of a mount, or refuses it', ['ReadOnly', 'Consistency', 'BindOptions.Propagation', 'BindOptions.NonRecursive', 'BindOptions.ReadOnlyNonRecursive', 'BindOptions.ReadOnlyForceRecursive', 'ImageOptions.Subpath', 'TmpfsOptions.SizeBytes', 'TmpfsOptions.Mode', 'TmpfsOptions.Options'].map((name) => `HostConfig.Mounts.${name}`)],
]

/** Members that are refused when they say something, with a request that does and what is answered. */
const refused: Record<string, [request: Partial<ContainerCreateRequest>, why: RegExp]> = {
  'HostConfig.Cgroup': [{ HostConfig: { Cgroup: 'x' } }, /invalid Cgroup: x: a container has a control group of its own/],
  'HostConfig.StorageOpt': [{ HostConfig: { StorageOpt: { size: '1G' } } }, /--storage-opt size is not supported/],
  'HostConfig.Isolation': [{ HostConfig: { Isolation: 'hyperv' } }, /Invalid isolation: "hyperv" - linux only supports 'default'/],
  'HostConfig.IOMaximumIOps': [{ HostConfig: { IOMaximumIOps: 1 } }, /linux does not support configuration of maximum IOPs/],
  'HostConfig.IOMaximumBandwidth': [{ HostConfig: { IOMaximumBandwidth: 1 } }, /linux does not support configuration of maximum bandwidth/],
  'HostConfig.DeviceRequests.Capabilities': [{ HostConfig: { DeviceRequests: [{ Driver: '', Count: -1, Capabilities: [['gpu']] }] } }, /could not select device driver "" with capabilities: \[\[gpu\]\]/],
  'HostConfig.DeviceRequests.Count': [{ HostConfig: { DeviceRequests: [{ Driver: 'cdi', Count: 1 }] } }, /unexpected count in CDI device request/],
  'HostConfig.DeviceRequests.Options': [{ HostConfig: { DeviceRequests: [{ Driver: 'cdi', Options: { a: 'b' } }] } }, /unexpected options in CDI device request/],
}

/** Refused by another service, where a test of its own shows it. */
const refusedElsewhere: [file: string, text: string, members: string[]][] = [
  [networks, 'link-local addresses are not supported', ['NetworkingConfig.EndpointsConfig.IPAMConfig.LinkLocalIPs']],
  ['packages/services/volume-manager/src/parse-mounts.ts', 'VOLUME_SUBPATH', ['HostConfig.Mounts.VolumeOptions.Subpath']],
]

/** Members that the engine says in a warning to be without effect, as they are with dockerd, which says it of some. */
const warned: Record<string, [request: Partial<ContainerCreateRequest>, warning: RegExp]> = {
  'ContainerConfig.ArgsEscaped': [{ ArgsEscaped: true }, /linux does not support ArgsEscaped/],
  'HostConfig.CpuCount': [{ HostConfig: { CpuCount: 1 } }, /linux does not support CPU count/],
  'HostConfig.CpuPercent': [{ HostConfig: { CpuPercent: 10 } }, /linux does not support CPU percent/],
  'HostConfig.KernelMemoryTCP': [{ HostConfig: { KernelMemoryTCP: 1 << 20 } }, /KernelMemoryTCP depends on the OCI runtime|kernel memory TCP limit/],
}

/** Members by which an engine tells; what a request says in them means nothing, as with dockerd. */
const answersOnly: Record<string, string> = {
  'HostConfig.ContainerIDFile': 'the client writes that file',
  ...Object.fromEntries(
    ['NetworkID', 'EndpointID', 'Gateway', 'IPAddress', 'IPPrefixLen', 'IPv6Gateway', 'GlobalIPv6Address', 'GlobalIPv6PrefixLen', 'DNSNames'].map((name) => [`NetworkingConfig.EndpointsConfig.${name}`, 'the state of an endpoint that is there']),
  ),
}

describe('the members of a request for a container', () => {
  let engine: FakeEngine
  beforeAll(async () => {
    engine = await fakeEngine()
  })
  afterAll(() => engine[Symbol.asyncDispose]())

  const create = (request: Partial<ContainerCreateRequest>, version?: number): Promise<{ Id: string; Warnings: string[] }> =>
    engine.runtime.containers.create(undefined, { Image: 'busybox', Cmd: ['true'], ...request }, version === undefined ? {} : { version })

  it('are each honoured, refused or warned of: none is silently dropped', () => {
    const known = [...honoured.flatMap(([, , members]) => members), ...Object.keys(refused), ...refusedElsewhere.flatMap(([, , members]) => members), ...Object.keys(warned), ...Object.keys(answersOnly)]
    expect(all.filter((member) => !known.includes(member))).toEqual([])
    expect(known.filter((member) => !all.includes(member))).toEqual([])
    expect(known.filter((member, index) => known.indexOf(member) !== index)).toEqual([])
  })

  it.each([...honoured, ...refusedElsewhere])('%s shows: %s', (file, text) => {
    expect(readFileSync(join(repository, file), 'utf8')).toContain(text)
  })

  it.each(Object.entries(refused))('%s is refused with a reason', async (_member, [request, why]) => {
    await expect(create(request)).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringMatching(why) })
  })

  it.each(Object.entries(warned))('%s is warned of', async (_member, [request, warning]) => {
    const { Warnings } = await create(request)
    expect(Warnings).toContainEqual(expect.stringMatching(warning))
  })

  it('gives a health check in words to the shell of the image or the request', async () => {
    const { Id } = await create({ Shell: ['/bin/ash', '-c'], Healthcheck: { Test: ['CMD-SHELL', 'true'] } })
    expect((await engine.runtime.containers.inspect(Id, { size: false })).Config).toMatchObject({ Shell: ['/bin/ash', '-c'], Healthcheck: { Test: ['CMD-SHELL', 'true'] } })
  })

  it('moves the address of older clients to the endpoint of the main network', async () => {
    const [one, two] = ['02:42:ac:11:00:01', '02:42:ac:11:00:02']
    const asked = async (...given: Parameters<typeof create>): Promise<unknown> => {
      const { Id } = await create(...given)
      return engine.world.reserved.get(Id)
    }
    expect(await asked({ MacAddress: one } as Partial<ContainerCreateRequest>, 43)).toMatchObject({ macAddress: one })
    // Before 1.44, addresses of endpoints meant nothing.
    expect(await asked({ NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress: two } } } }, 43)).toMatchObject({ macAddress: undefined, endpoints: { bridge: { MacAddress: '' } } })
    expect(await asked({ NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress: two } } } })).toMatchObject({ endpoints: { bridge: { MacAddress: two } } })
    expect((await create({ MacAddress: one } as Partial<ContainerCreateRequest>)).Warnings).toContainEqual(expect.stringMatching(/container-wide MacAddress field is now deprecated/))
    await expect(create({ MacAddress: one, NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress: two } } } } as Partial<ContainerCreateRequest>)).rejects.toThrow(/must match the endpoint-specific MAC address/)
    await expect(create({ MacAddress: 'x' } as Partial<ContainerCreateRequest>)).rejects.toThrow(/invalid MAC address: x/)
    await expect(create({ MacAddress: one, HostConfig: { NetworkMode: 'host' } } as Partial<ContainerCreateRequest>)).rejects.toThrow(/conflicting options: mac-address and the network mode/)
  })

  it('asks the other services for what is theirs', async () => {
    const host = { PublishAllPorts: true, Dns: ['10.0.0.1'], DnsOptions: ['ndots:1'], DnsSearch: ['lan'] }
    const { Id } = await create({ ExposedPorts: { '80/tcp': {} }, HostConfig: host })
    expect(engine.world.reserved.get(Id)).toMatchObject({ exposedPorts: ['80/tcp'], host })
  })
})
