import type { ContainerConfig, EndpointSettings, HostConfig, MountPoint, NetworkSettings } from '@berth/api-types'
import type { EmitEvent, Logger } from '@berth/core'
import type { LogDriver } from '@berth/log-driver'
import type { ImageConfig, ImageRunConfig } from '@berth/oci'
import type { OciRuntime } from '@berth/oci-runtime'
import type { Mount, Snapshotter } from '@berth/snapshotter'

/** What the container runtime needs of the rest of an engine, in its own words; an engine gives it the services that do it. */
export interface ContainerRuntimeDependencies {
  images: ContainerImages
  snapshotter: Pick<Snapshotter, 'name' | 'prepare' | 'mounts' | 'remove' | 'stat' | 'usage' | 'diff' | 'changes'>
  networks: ContainerNetworks
  volumes: ContainerVolumes
  /** By name; `HostConfig.Runtime` chooses, the first is the default. */
  runtimes: ReadonlyMap<string, OciRuntime>
  /** A runtime that is not among those, by its `io.containerd.<name>.<version>`; undefined where the machine has none. Asked again, it gives the same. */
  findRuntime?(name: string): OciRuntime | undefined
  /** By `HostConfig.LogConfig.Type`; the first is the default. */
  logDrivers: ReadonlyMap<string, LogDriver>
  emit: EmitEvent
  logger?: Logger
}

export interface ContainerImages {
  /** Throws `not-found` with Docker's `No such image: …`. The runtime's own records are what keeps an image in use. */
  resolve(ref: string, options?: { platform?: string }): Promise<ContainerImage>
  /** Makes an image of another and a layer on top. */
  commit(options: ImageCommit): Promise<{ id: string }>
}

export interface ImageCommit {
  /** ID of the image below. */
  parent: string
  /** An uncompressed tar, with whiteouts. */
  layer: AsyncIterable<Uint8Array>
  config: ImageRunConfig
  /** Dockerfile instructions, which change the config. */
  changes: string[]
  author: string
  comment: string
  /** What made the layer, for the history. */
  createdBy: string
  repo?: string
  tag?: string
  /** ID of the container. */
  container: string
  signal: AbortSignal
}

export interface ContainerImage {
  /** `sha256:…` of the config. */
  id: string
  /** Absent for an image without layers. */
  chainId: string | undefined
  config: ImageConfig
}

/** What a container asks of its network at creation; kept by the network service until `release`. */
export interface NetworkRequest {
  containerId: string
  containerName: string
  hostname: string
  domainname: string
  /** As given, resolved to a full container ID for `container:…`; `default` means the default bridge. */
  networkMode: string
  /** From `NetworkingConfig`, by network name or ID. */
  endpoints: Readonly<Record<string, EndpointSettings | null>>
  host: Pick<HostConfig, 'PortBindings' | 'PublishAllPorts' | 'Dns' | 'DnsOptions' | 'DnsSearch' | 'ExtraHosts' | 'Links'>
  /** `80/tcp`, … from the config and the image. */
  exposedPorts: readonly string[]
  macAddress?: string | undefined
}

export interface ContainerNetworks {
  /** Checks and records what the container wants; nothing is made in the kernel yet. */
  reserve(request: NetworkRequest): Promise<void>
  /**
   * Makes the sandbox with all its endpoints and published ports; all or nothing. Joins the given sandbox for `container:…`.
   * @param options.namespace File of a network namespace that becomes the sandbox, as one that a user namespace owns; a new one when absent.
   */
  attach(containerId: string, options?: { namespace?: string }): Promise<NetworkSandbox>
  /** Takes the sandbox down; what was reserved stays. Idempotent. */
  detach(containerId: string): Promise<void>
  /** Forgets the container. Idempotent; detaches first when needed. */
  release(containerId: string): Promise<void>
  rename(containerId: string, name: string): Promise<void>
  /** As inspect shows it, for a running or a stopped container. */
  settings(containerId: string): NetworkSettings
  /** Counters by interface for `stats`; empty when the container has no sandbox of its own. */
  counters(containerId: string): Promise<Record<string, InterfaceCounters>>
  /** After a start of the engine: sandboxes of containers not in `running` are taken down, those of others resumed (DNS, proxies, ports). */
  restore(running: ReadonlySet<string>): Promise<void>
}

export interface InterfaceCounters {
  rx_bytes: number
  rx_packets: number
  rx_errors: number
  rx_dropped: number
  tx_bytes: number
  tx_packets: number
  tx_errors: number
  tx_dropped: number
}

export interface NetworkSandbox {
  /** File of the network namespace to join; `host` for the host's own. */
  netns: string
  /** Files to bind over /etc/hosts and /etc/resolv.conf; absent for none. */
  hostsPath: string | undefined
  resolvConfPath: string | undefined
}

/** What a container asks of its volumes at creation. */
export interface VolumeRequest {
  containerId: string
  host: Pick<HostConfig, 'Binds' | 'Mounts' | 'Tmpfs' | 'VolumesFrom' | 'VolumeDriver'>
  /** Destinations from the request's and the image's `Volumes`. */
  anonymous: readonly string[]
  /** For the copy-up into new volumes: the container's root file system. */
  rootfs: readonly Mount[]
  labels?: ContainerConfig['Labels']
}

export interface ContainerVolumes {
  /** Parses and checks the mounts, makes missing volumes, fills new ones from the image, and records that the container uses them. All or nothing. */
  reserve(request: VolumeRequest): Promise<void>
  /** Mounts what has to be, as OCI runtime-specification mounts in the order to make them. */
  attach(containerId: string): Promise<VolumeMount[]>
  /** Idempotent. */
  detach(containerId: string): Promise<void>
  /** Forgets the container; its anonymous volumes are removed when asked. Idempotent. */
  release(containerId: string, options: { removeAnonymous: boolean }): Promise<void>
  /** As inspect shows them. */
  mountPoints(containerId: string): MountPoint[]
  /** After a start of the engine. */
  restore(running: ReadonlySet<string>): Promise<void>
}

/** @see OCI runtime specification, config.md, Mounts */
export interface VolumeMount {
  destination: string
  type: string
  source: string
  options: string[]
}
