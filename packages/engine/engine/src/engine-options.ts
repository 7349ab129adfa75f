import type { ContainerRuntimeOptions } from '@berth/container-runtime'
import type { FailPoint, Logger } from '@berth/core'
import type { RuntimeSettings } from './runtimes.ts'

export interface EngineOptions {
  /** Absolute path of the directory of everything that lasts; the engine owns it, and makes it when it is missing. */
  dataRoot: string
  /** Absolute path of the directory of what belongs to this boot of the machine; on a file system that may be emptied by one. At most 50 bytes. */
  execRoot: string
  /** Address and prefix of the default bridge, `172.17.0.1/16`. */
  bip?: string | undefined
  /** Hosts and networks whose registries may be spoken to unencrypted; loopback always may. */
  insecureRegistries?: readonly string[]
  /** Origins that are asked before Docker Hub. */
  registryMirrors?: readonly string[]
  /** Directories such as `/etc/docker/certs.d`, with `<host>/hosts.toml` or certificates: how registries are reached. The first that knows a host counts. */
  certsDirs?: readonly string[]
  /** URLs of the proxies that registries are reached through, and what is reached without: hosts with commas between. */
  httpProxy?: string | undefined
  httpsProxy?: string | undefined
  noProxy?: string | undefined
  /** Blobs that all pulls receive, and all pushes send, at the same time; 3. */
  maxConcurrentDownloads?: number | undefined
  maxConcurrentUploads?: number | undefined
  /** The control group that holds those of the containers; `/berth` by default. */
  cgroupParent?: string
  /** OCI runtimes by the names that containers choose them by, beside `runc`. Any `io.containerd.<name>.<version>` whose shim the machine has can be chosen without. */
  runtimes?: Readonly<Record<string, RuntimeSettings>> | undefined
  /** The runtime of containers that do not say; `runc` by default. */
  defaultRuntime?: string | undefined
  /** The program that runs as process 1 for containers that ask for one; found where Docker and Debian have it by default. */
  initPath?: string | undefined
  /** What containers get that do not say: their IPC and cgroup namespaces, `/dev/shm`, limits of processes, filter of system calls. */
  containerDefaults?: Omit<NonNullable<ContainerRuntimeOptions['defaults']>, 'LogConfig' | 'CgroupParent'>
  /** Which user namespace containers get that do not say: the machine's (`host`, the default), or each one of its own. */
  userns?: 'host' | 'private' | undefined
  /** As dockerd's: `default` or `user[:group]`, whose subordinate IDs all containers share that do not say. Goes before `userns`. */
  usernsRemap?: string | undefined
  /** Directories of CDI specifications, the later ones count more; `/etc/cdi` and `/var/run/cdi` by default. */
  cdiSpecDirs?: readonly string[] | undefined
  /** What happens to an attached exec whose client goes: `keep` as in Docker, the default, or `kill`. A container's annotation `io.berth.exec-on-disconnect` says it for its own. */
  execOnDisconnect?: 'keep' | 'kill' | undefined
  /** How much output is kept for clients that do not take it: in memory, and on the disk. */
  backlog?: ContainerRuntimeOptions['backlog']
  /** Containers run on when the engine is shut down; true by default. */
  liveRestore?: boolean
  /** Where the output of containers goes that do not say: the name of a log driver and its options. `json-file`, bounded, by default. */
  logConfig?: { driver: string; options: Readonly<Record<string, string>> }
  /** Seconds that containers get to end when the engine is shut down; 15 by default. */
  shutdownTimeout?: number
  /** `info` and `version` say so. */
  experimental?: boolean | undefined
  /** What it calls itself. */
  version?: string
  /** For tests of crashes: called with the name of each step of a transition. @see FailPoint */
  failPoint?: FailPoint | undefined
  logger?: Logger
}
