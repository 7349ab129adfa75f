import { resolve } from 'node:path'
import type { Mount } from '@berth/api-types'
import { usageError } from '../cli.ts'
import { parseSize } from './sizes.ts'

/** `-v`: what is mounted from somewhere, and paths that get a volume of their own. Relative host paths are made absolute. */
export function parseVolumes(specs: readonly string[]): { binds: string[]; anonymous: Record<string, object> } {
  const binds: string[] = []
  const anonymous: Record<string, object> = {}
  for (const spec of specs) {
    const [source = '', target, ...rest] = spec.split(':')
    if (target === undefined) anonymous[source] = {}
    else binds.push([/^\.\.?(\/|$)/.test(source) ? resolve(source) : source, target, ...rest].join(':'))
  }
  return { binds, anonymous }
}

const types = ['bind', 'volume', 'tmpfs', 'image'] as const
const propagations = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'] as const
const isTrue = (value: string | undefined): boolean => value === undefined || /^(1|true)$/i.test(value)

/** `--mount type=volume,source=data,target=/data,readonly`. Throws `invalid-argument`. */
export function parseMount(spec: string): Mount {
  const mount: Mount = { Type: 'volume' }
  for (const field of spec.split(',')) {
    const [key = '', value] = field.split(/=(.*)/s)
    switch (key.toLowerCase()) {
      case 'type':
        mount.Type = oneOf(types, value, spec)
        break
      case 'source':
      case 'src':
        mount.Source = value ?? ''
        break
      case 'target':
      case 'dst':
      case 'destination':
        mount.Target = value ?? ''
        break
      case 'readonly':
      case 'ro':
        mount.ReadOnly = isTrue(value)
        break
      case 'bind-propagation':
        mount.BindOptions = { ...mount.BindOptions, Propagation: oneOf(propagations, value, spec) }
        break
      case 'volume-nocopy':
        mount.VolumeOptions = { ...mount.VolumeOptions, NoCopy: isTrue(value) }
        break
      case 'volume-subpath':
        mount.VolumeOptions = { ...mount.VolumeOptions, Subpath: value }
        break
      case 'volume-driver':
        mount.VolumeOptions = { ...mount.VolumeOptions, DriverConfig: { ...mount.VolumeOptions?.DriverConfig, Name: value } }
        break
      case 'tmpfs-size':
        mount.TmpfsOptions = { ...mount.TmpfsOptions, SizeBytes: parseSize(value ?? '') }
        break
      case 'tmpfs-mode':
        mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: Number.parseInt(value ?? '', 8) }
        break
      default:
        throw usageError(`invalid mount '${spec}': unexpected key '${key}'`)
    }
  }
  if (!mount.Target) throw usageError(`invalid mount '${spec}': target is required`)
  if (mount.Type === 'bind' && mount.Source && /^\.\.?(\/|$)/.test(mount.Source)) mount.Source = resolve(mount.Source)
  return mount
}

function oneOf<T extends string>(known: readonly T[], value: string | undefined, spec: string): T {
  const found = known.find((candidate) => candidate === value)
  if (!found) throw usageError(`invalid mount '${spec}': '${value}' is none of ${known.join(', ')}`)
  return found
}
