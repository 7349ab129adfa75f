/**
 * The part of the OCI runtime configuration that the runtime writes.
 * @see OCI runtime specification v1.2, config.md and config-linux.md
 */
export interface OciSpec {
  ociVersion: string
  hostname?: string
  root: { path: string; readonly: boolean }
  process: OciProcess
  mounts: OciMount[]
  annotations?: Record<string, string>
  hooks?: OciHooks
  linux: {
    namespaces: { type: string; path?: string }[]
    cgroupsPath: string
    resources: OciResources
    devices?: OciDevice[]
    sysctl?: Record<string, string>
    uidMappings?: OciIdMapping[]
    gidMappings?: OciIdMapping[]
    seccomp?: object
    maskedPaths?: string[]
    readonlyPaths?: string[]
    rootfsPropagation?: string
  }
}

/** By the step of a container's life at which they are run. @see config.md, POSIX-platform Hooks */
export type OciHooks = Record<string, { path: string; args?: string[]; env?: string[]; timeout?: number }[]>

interface OciIdMapping {
  containerID: number
  hostID: number
  size: number
}

export interface OciProcess {
  terminal: boolean
  consoleSize?: { height: number; width: number }
  user: { uid: number; gid: number; additionalGids?: number[] }
  args: string[]
  env: string[]
  cwd: string
  capabilities: Partial<Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', string[]>>
  rlimits?: { type: string; soft: number; hard: number }[]
  noNewPrivileges: boolean
  apparmorProfile?: string
  oomScoreAdj?: number
}

export interface OciMount {
  destination: string
  type: string
  source: string
  options: string[]
}

export interface OciDevice {
  path: string
  type: 'c' | 'b'
  major: number
  minor: number
  fileMode: number
  uid: number
  gid: number
}

/** @see config-linux.md, Control groups */
export interface OciResources {
  devices: { allow: boolean; type?: string; major?: number; minor?: number; access: string }[]
  memory?: { limit?: number; reservation?: number; swap?: number; swappiness?: number; disableOOMKiller?: boolean; kernelTCP?: number }
  cpu?: { shares?: number; quota?: number; period?: number; realtimeRuntime?: number; realtimePeriod?: number; cpus?: string; mems?: string }
  pids?: { limit: number }
  blockIO?: {
    weight?: number
    weightDevice?: { major: number; minor: number; weight: number }[]
    throttleReadBpsDevice?: OciThrottle[]
    throttleWriteBpsDevice?: OciThrottle[]
    throttleReadIOPSDevice?: OciThrottle[]
    throttleWriteIOPSDevice?: OciThrottle[]
  }
  hugepageLimits?: { pageSize: string; limit: number }[]
}

export interface OciThrottle {
  major: number
  minor: number
  rate: number
}
