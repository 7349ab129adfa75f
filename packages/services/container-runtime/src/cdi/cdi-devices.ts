import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { type CdiDevice, type CdiSpec, parseCdiSpec } from './cdi-spec.ts'

/** Where specifications are, in growing priority. @see SPEC.md, CDI JSON Specification */
export const defaultCdiSpecDirs = ['/etc/cdi', '/var/run/cdi']

/** A specification larger than this is none. */
const sizeLimit = 1024 * 1024

export interface FoundDevice {
  device: CdiDevice
  spec: CdiSpec
}

export interface FoundDevices {
  /** By qualified name, `vendor.com/class=name`. */
  devices: Map<string, FoundDevice>
  /** What is wrong with specifications that were left out. */
  problems: string[]
}

/**
 * The devices of all specifications. One in a later directory counts more; of two in one directory that bring a device of the same name neither does. As a specification has
 * programs run as root, it is root's, and nobody else may write it.
 */
export function findDevices(directories: readonly string[], owner = 0): FoundDevices {
  const devices = new Map<string, FoundDevice>()
  const problems: string[] = []
  for (const directory of directories) {
    const here = new Map<string, FoundDevice>()
    const twice = new Set<string>()
    for (const path of specFiles(directory)) {
      try {
        for (const [name, found] of devicesOf(path, owner)) {
          if (here.has(name)) {
            twice.add(name)
            problems.push(`${path}: conflicting device ${name}`)
          }
          here.set(name, found)
        }
      } catch (error) {
        problems.push(`${path}: ${messageOf(error)}`)
      }
    }
    for (const [name, found] of here) devices.set(name, found)
    for (const name of twice) devices.delete(name)
  }
  return { devices, problems }
}

/**
 * The devices of these names, in their order.
 * @throws `invalid-argument`, in Docker's words, for one that is not there
 */
export function resolveDevices(directories: readonly string[], names: readonly string[]): FoundDevice[] {
  if (names.length === 0) return []
  const { devices, problems } = findDevices(directories)
  const missing = names.filter((name) => !devices.has(name))
  if (missing.length > 0) {
    throw new BerthError('invalid-argument', 'CDI_UNRESOLVABLE', `CDI device injection failed: unresolvable CDI devices ${missing.join(', ')}`, problems.length > 0 ? { hint: problems.join('; ') } : {})
  }
  return names.flatMap((name) => devices.get(name) ?? [])
}

function specFiles(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(?:json|yaml)$/.test(name))
      .toSorted()
      .map((name) => join(directory, name))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}

function devicesOf(path: string, owner: number): [string, FoundDevice][] {
  const stat = lstatSync(path).isSymbolicLink() ? statSync(path) : lstatSync(path)
  if (!stat.isFile() || stat.size > sizeLimit) throw new BerthError('invalid-argument', 'CDI_SPEC_INVALID', 'it is no file, or too large')
  if (stat.uid !== owner || stat.mode & 0o022) throw new BerthError('permission-denied', 'CDI_SPEC_UNSAFE', 'others than root may write it')
  const spec = parseCdiSpec(readFileSync(path, 'utf8'), path.endsWith('.json') ? 'json' : 'yaml')
  return spec.devices.map((device) => [`${spec.kind}=${device.name}`, { device, spec }])
}
