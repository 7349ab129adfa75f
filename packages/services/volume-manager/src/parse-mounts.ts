import type { HostConfig, Mount } from '@berth/api-types'
import { BerthError } from '@berth/core'

/** One place in a container where something of the outside appears, as asked for. */
export type MountRequest =
  | { kind: 'bind'; destination: string; source: string; readonly: boolean; readonlyBelow?: boolean; propagation: string; recursive: boolean; createSource: boolean; mode: string }
  | { kind: 'volume'; destination: string; name: string | undefined; driver: string | undefined; options: Record<string, string>; labels: Record<string, string>; readonly: boolean; copyUp: boolean; mode: string }
  | { kind: 'tmpfs'; destination: string; options: string[] }

const propagations = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'MOUNT_INVALID', message)
}

/** An absolute path without `.`, `..` and doubled slashes; what it leads to is for the kernel to say. */
function destinationOf(path: string, spec: string): string {
  if (!path.startsWith('/')) throw invalid(`invalid volume specification: '${spec}': invalid mount config for type "volume": invalid mount path: '${path}' mount path must be absolute`)
  if (path.includes('\0')) throw invalid('invalid mount path: it contains a NUL character')
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  if (parts.length === 0) throw invalid(`invalid volume specification: '${spec}': invalid specification: destination can't be '/'`)
  return `/${parts.join('/')}`
}

/** `source:destination[:options]`, `HostConfig.Binds`. */
export function parseBind(spec: string, defaultDriver?: string): MountRequest {
  const [first = '', second, third, ...rest] = spec.split(':')
  const wrong = (): BerthError => invalid(`invalid volume specification: '${spec}'`)
  if (rest.length > 0 || first === '' || second === '') throw wrong()
  const named = { kind: 'volume' as const, name: undefined, driver: defaultDriver, options: {}, labels: {}, readonly: false, copyUp: true, mode: '' }
  if (second === undefined) return { ...named, destination: destinationOf(first, spec) }
  const modes = third === undefined || third === '' ? [] : third.split(',')
  const seen = new Set<string>()
  let readonly = false
  let copyUp = true
  let propagation: string | undefined
  for (const mode of modes) {
    const group = mode === 'ro' || mode === 'rw' ? 'access' : propagations.includes(mode) ? 'propagation' : mode
    if (seen.has(group)) throw invalid(`invalid mode: ${third}`)
    seen.add(group)
    if (mode === 'ro') readonly = true
    else if (group === 'propagation') propagation = mode
    else if (mode === 'nocopy') copyUp = false
    else if (!['rw', 'z', 'Z', 'copy', 'consistent', 'cached', 'delegated'].includes(mode)) throw invalid(`invalid mode: ${third}`)
  }
  const destination = destinationOf(second, spec)
  const mode = third ?? ''
  if (first.startsWith('/')) {
    if (first.includes('\0')) throw invalid('invalid mount path: it contains a NUL character')
    return { kind: 'bind', destination, source: first, readonly, propagation: propagation ?? 'rprivate', recursive: true, createSource: true, mode }
  }
  if (propagation) throw invalid(`invalid mode: ${third}`)
  return { ...named, destination, name: first, readonly, copyUp, mode: mode || 'z' }
}

/** `HostConfig.Mounts`. */
export function parseMount(mount: Mount): MountRequest {
  const { Type, Source = '', Target = '', ReadOnly, Consistency, BindOptions, VolumeOptions, ImageOptions, TmpfsOptions } = mount
  const config = (message: string): BerthError => invalid(`invalid mount config for type "${Type}": ${message}`)
  if (Target === '') throw config('field Target must not be empty')
  if (!Target.startsWith('/')) throw config(`invalid mount path: '${Target}' mount path must be absolute`)
  const destination = destinationOf(Target, Target)
  const readonly = ReadOnly ?? false
  // What a virtual machine with the source in its host would do: there is none between.
  if (Consistency && !['default', 'consistent', 'cached', 'delegated'].includes(Consistency)) throw config(`invalid consistency: ${Consistency}`)
  if (ImageOptions) throw config('field ImageOptions must not be specified')
  switch (Type) {
    case 'bind': {
      if (VolumeOptions) throw config('field VolumeOptions must not be specified')
      if (TmpfsOptions) throw config('field TmpfsOptions must not be specified')
      if (Source === '') throw config('field Source must not be empty')
      if (!Source.startsWith('/')) throw config(`invalid mount path: '${Source}' mount path must be absolute`)
      const propagation = BindOptions?.Propagation || 'rprivate'
      if (!propagations.includes(propagation)) throw config(`invalid propagation mode: ${propagation}`)
      const { ReadOnlyNonRecursive, ReadOnlyForceRecursive } = BindOptions ?? {}
      if ((ReadOnlyNonRecursive || ReadOnlyForceRecursive) && !readonly) throw config('read-only options need ReadOnly')
      if (ReadOnlyNonRecursive && ReadOnlyForceRecursive) throw config('ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other')
      if (ReadOnlyForceRecursive && BindOptions?.NonRecursive) throw config('ReadOnlyForceRecursive and NonRecursive exclude each other')
      return { kind: 'bind', destination, source: Source, readonly, ...(ReadOnlyForceRecursive ? { readonlyBelow: true } : {}), propagation, recursive: !BindOptions?.NonRecursive, createSource: BindOptions?.CreateMountpoint ?? false, mode: '' }
    }
    case 'volume': {
      if (BindOptions) throw config('field BindOptions must not be specified')
      if (TmpfsOptions) throw config('field TmpfsOptions must not be specified')
      if (VolumeOptions?.Subpath) throw new BerthError('not-implemented', 'VOLUME_SUBPATH', 'volume subpaths are not supported yet')
      if (Source.startsWith('/')) throw config(`invalid mount path: '${Source}' a volume is named, not a path`)
      return {
        kind: 'volume', destination, name: Source || undefined, driver: VolumeOptions?.DriverConfig?.Name || undefined, options: VolumeOptions?.DriverConfig?.Options ?? {},
        labels: VolumeOptions?.Labels ?? {}, readonly, copyUp: !VolumeOptions?.NoCopy, mode: 'z',
      } // prettier-ignore
    }
    case 'tmpfs': {
      if (Source !== '') throw config('field Source must not be specified')
      if (BindOptions) throw config('field BindOptions must not be specified')
      if (VolumeOptions) throw config('field VolumeOptions must not be specified')
      const given = new Set((TmpfsOptions?.Options ?? []).map(([name]) => name))
      return {
        kind: 'tmpfs', destination,
        options: [
          ...['noexec', 'nosuid', 'nodev'].filter((flag) => !given.has(flag.slice(2)) && !given.has(flag)), ...(readonly ? ['ro'] : []),
          ...(TmpfsOptions?.SizeBytes ? [`size=${TmpfsOptions.SizeBytes}`] : []),
          ...(TmpfsOptions?.Mode ? [`mode=${TmpfsOptions.Mode.toString(8)}`] : []),
          ...tmpfsOptions((TmpfsOptions?.Options ?? []).map((parts) => parts.join('='))),
        ],
      } // prettier-ignore
    }
    default:
      throw config('mount type unknown')
  }
}

const tmpfsFlags = ['ro', 'rw', 'exec', 'noexec', 'suid', 'nosuid', 'dev', 'nodev', 'sync', 'async', 'atime', 'noatime', 'relatime', 'strictatime', 'diratime', 'nodiratime']
const tmpfsValues = /^(size|nr_inodes|nr_blocks|mode|uid|gid|huge)=[\w%.]+$/

/** Throws `invalid-argument` for what is no option of a tmpfs. */
function tmpfsOptions(options: string[]): string[] {
  for (const option of options) if (!tmpfsFlags.includes(option) && !tmpfsValues.test(option)) throw invalid(`invalid tmpfs option ["${option}"]`)
  return options
}

/** `HostConfig.Tmpfs`: destination to options, comma-separated. */
export function parseTmpfs(path: string, options: string): MountRequest {
  const given = tmpfsOptions(options.split(',').filter(Boolean))
  const base = ['nosuid', 'nodev', 'noexec'].filter((flag) => !given.includes(flag.slice(2)) && !given.includes(flag))
  return { kind: 'tmpfs', destination: destinationOf(path, path), options: [...base, ...given] }
}

/** Every mount a container asks for, one for each destination; an anonymous volume gives way to anything else at its place. */
export function parseMounts(host: Pick<HostConfig, 'Binds' | 'Mounts' | 'Tmpfs' | 'VolumeDriver'>, anonymous: readonly string[]): MountRequest[] {
  const requests = [
    ...(host.Binds ?? []).map((spec) => parseBind(spec, host.VolumeDriver || undefined)),
    ...(host.Mounts ?? []).map(parseMount),
    ...Object.entries(host.Tmpfs ?? {}).map(([path, options]) => parseTmpfs(path, options)),
  ]
  const taken = new Set<string>()
  for (const { destination } of requests) {
    if (taken.has(destination)) throw invalid(`Duplicate mount point: ${destination}`)
    taken.add(destination)
  }
  for (const path of anonymous) {
    const request = parseBind(path, host.VolumeDriver || undefined)
    if (taken.has(request.destination)) continue
    taken.add(request.destination)
    requests.push(request)
  }
  return requests
}
