import type { Platform } from './platform.ts'

/** @see OCI image spec, descriptor.md */
export interface Descriptor {
  mediaType: string
  digest: string
  /** Bytes. */
  size: number
  urls?: string[] | undefined
  annotations?: Record<string, string> | undefined
  /** The content itself, base64. */
  data?: string | undefined
  artifactType?: string | undefined
  platform?: Platform | undefined
}

/** @see OCI image spec, manifest.md; Docker's schema 2 has the same shape */
export interface ImageManifest {
  schemaVersion: 2
  mediaType?: string | undefined
  artifactType?: string | undefined
  config: Descriptor
  layers: Descriptor[]
  subject?: Descriptor | undefined
  annotations?: Record<string, string> | undefined
}

/** @see OCI image spec, image-index.md; Docker's manifest list has the same shape */
export interface ImageIndex {
  schemaVersion: 2
  mediaType?: string | undefined
  artifactType?: string | undefined
  manifests: Descriptor[]
  subject?: Descriptor | undefined
  annotations?: Record<string, string> | undefined
}

/** Times are nanoseconds. */
export interface Healthcheck {
  /** `['NONE']`, `['CMD', …]` or `['CMD-SHELL', line]`; empty: inherit. */
  Test?: string[] | undefined
  Interval?: number | undefined
  Timeout?: number | undefined
  StartPeriod?: number | undefined
  StartInterval?: number | undefined
  Retries?: number | undefined
}

/** What a container of the image runs by default: OCI's `config`, with Docker's additions from `Hostname` on. */
export interface ImageRunConfig {
  User?: string | undefined
  ExposedPorts?: Record<string, object> | undefined
  Env?: string[] | undefined
  Entrypoint?: string[] | undefined
  Cmd?: string[] | undefined
  Volumes?: Record<string, object> | undefined
  WorkingDir?: string | undefined
  Labels?: Record<string, string> | undefined
  StopSignal?: string | undefined
  ArgsEscaped?: boolean | undefined
  Hostname?: string | undefined
  Domainname?: string | undefined
  AttachStdin?: boolean | undefined
  AttachStdout?: boolean | undefined
  AttachStderr?: boolean | undefined
  Tty?: boolean | undefined
  OpenStdin?: boolean | undefined
  StdinOnce?: boolean | undefined
  Image?: string | undefined
  NetworkDisabled?: boolean | undefined
  MacAddress?: string | undefined
  OnBuild?: string[] | undefined
  /** Seconds. */
  StopTimeout?: number | undefined
  Shell?: string[] | undefined
  Healthcheck?: Healthcheck | undefined
}

export interface ImageHistory {
  created?: string | undefined
  author?: string | undefined
  created_by?: string | undefined
  comment?: string | undefined
  empty_layer?: boolean | undefined
}

/** @see OCI image spec, config.md; the last three fields are Docker's */
export interface ImageConfig {
  architecture: string
  os: string
  variant?: string | undefined
  'os.version'?: string | undefined
  'os.features'?: string[] | undefined
  created?: string | undefined
  author?: string | undefined
  config?: ImageRunConfig | undefined
  rootfs: { type: 'layers'; diff_ids: string[] }
  history?: ImageHistory[] | undefined
  docker_version?: string | undefined
  container?: string | undefined
  container_config?: ImageRunConfig | undefined
}
