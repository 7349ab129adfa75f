import { BerthError } from '@berth/core'
import { parse as parseYaml } from 'yaml'

/**
 * A specification of devices, as vendors install it.
 * @see Container Device Interface, SPEC.md
 */
export interface CdiSpec {
  cdiVersion: string
  /** `vendor.com/class`. */
  kind: string
  devices: CdiDevice[]
  /** For every device of the specification, once. */
  containerEdits: CdiEdits
}

export interface CdiDevice {
  name: string
  containerEdits: CdiEdits
}

export interface CdiEdits {
  env: string[]
  deviceNodes: CdiDeviceNode[]
  mounts: CdiMount[]
  hooks: CdiHook[]
  additionalGids: number[]
}

export interface CdiDeviceNode {
  path: string
  hostPath?: string
  type?: string
  major?: number
  minor?: number
  fileMode?: number
  /** Of `r`, `w` and `m`. */
  permissions?: string
  uid?: number
  gid?: number
}

interface CdiMount {
  hostPath: string
  containerPath: string
  type?: string
  options?: string[]
}

export interface CdiHook {
  hookName: string
  path: string
  args?: string[]
  env?: string[]
  timeout?: number
}

/** The versions of the specification, in their order. */
const versions = ['0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0']
const hookNames = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop']

const vendorPattern = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$/
const devicePattern = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$/

/** Whether a name is one of CDI, `vendor.com/class=name`, and no path. */
export function isCdiName(name: string): boolean {
  const [, vendor = '', className = '', device = ''] = /^([^/=]+)\/([^/=]+)=([^/=]+)$/.exec(name) ?? []
  return vendorPattern.test(vendor) && vendorPattern.test(className) && devicePattern.test(device)
}

/** Throws `invalid-argument` for what is no specification, or needs what the engine cannot do. */
export function parseCdiSpec(text: string, format: 'json' | 'yaml'): CdiSpec {
  const document = new Fields('the specification', format === 'json' ? (JSON.parse(text) as unknown) : (parseYaml(text) as unknown))
  const cdiVersion = document.text('cdiVersion').replace(/^v/, '')
  const version = versions.indexOf(cdiVersion)
  if (version < 0) throw invalid(`version ${cdiVersion} is not known`)
  const kind = document.text('kind')
  const [vendor = '', className = '', ...rest] = kind.split('/')
  if (rest.length > 0 || !vendorPattern.test(vendor) || !vendorPattern.test(className)) throw invalid(`invalid kind ${kind}`)
  const needs = (wanted: string, what: string): void => {
    if (version < versions.indexOf(wanted)) throw invalid(`${what} needs version ${wanted}, and it is of ${cdiVersion}`)
  }
  if (document.has('annotations')) needs('0.6.0', 'annotations')
  const devices = document.list('devices', 'a device').map((device) => {
    const name = device.text('name')
    if (!devicePattern.test(name)) throw invalid(`invalid device name ${name}`)
    if (/^\d/.test(name)) needs('0.5.0', `a device whose name begins with a digit, ${name},`)
    const parsed = { name, containerEdits: parseEdits(device.object('containerEdits'), needs) }
    device.noneBut('name', 'annotations', 'containerEdits')
    return parsed
  })
  if (devices.length === 0) throw invalid('it has no devices')
  const names = new Set(devices.map(({ name }) => name))
  if (names.size < devices.length) throw invalid('it has two devices of one name')
  document.noneBut('cdiVersion', 'kind', 'annotations', 'devices', 'containerEdits')
  return { cdiVersion, kind, devices, containerEdits: parseEdits(document.object('containerEdits'), needs) }
}

function parseEdits(edits: Fields | undefined, needs: (version: string, what: string) => void): CdiEdits {
  if (!edits) return { env: [], deviceNodes: [], mounts: [], hooks: [], additionalGids: [] }
  if (edits.has('intelRdt')) throw invalid('intelRdt is not supported: the engine keeps no resource groups')
  if (edits.has('netDevices')) throw invalid('netDevices are not supported')
  edits.noneBut('env', 'deviceNodes', 'mounts', 'hooks', 'additionalGids')
  const env = edits.texts('env') ?? []
  for (const entry of env) if (!/^[^=\0]+=[^\0]*$/.test(entry)) throw invalid(`invalid environment variable ${JSON.stringify(entry)}`)
  const additionalGids = edits.numbers('additionalGids')
  if (additionalGids.length > 0) needs('0.7.0', 'additionalGids')
  return {
    env,
    deviceNodes: edits.list('deviceNodes', 'a device node').map((node) => {
      node.noneBut('path', 'hostPath', 'type', 'major', 'minor', 'fileMode', 'permissions', 'uid', 'gid')
      if (node.has('hostPath')) needs('0.5.0', 'hostPath')
      const permissions = node.optionalText('permissions')
      if (permissions !== undefined && !/^[rwm]*$/.test(permissions)) throw invalid(`invalid permissions ${permissions}`)
      const type = node.optionalText('type')
      if (type !== undefined && !['', 'b', 'c', 'u'].includes(type)) throw invalid(`a device node of type ${type} is not supported`)
      return {
        path: node.path('path'),
        ...node.optional({ hostPath: node.optionalText('hostPath'), type, permissions }),
        ...node.optional({ major: node.optionalNumber('major'), minor: node.optionalNumber('minor'), fileMode: node.optionalNumber('fileMode'), uid: node.optionalNumber('uid'), gid: node.optionalNumber('gid') }),
      }
    }),
    mounts: edits.list('mounts', 'a mount').map((mount) => {
      mount.noneBut('hostPath', 'containerPath', 'type', 'options')
      if (mount.has('type')) needs('0.4.0', 'the type of a mount')
      return { hostPath: mount.text('hostPath'), containerPath: mount.path('containerPath'), ...mount.optional({ type: mount.optionalText('type'), options: mount.texts('options') }) }
    }),
    hooks: edits.list('hooks', 'a hook').map((hook) => {
      hook.noneBut('hookName', 'path', 'args', 'env', 'timeout')
      const hookName = hook.text('hookName')
      if (!hookNames.includes(hookName)) throw invalid(`invalid hook name ${hookName}`)
      return { hookName, path: hook.path('path'), ...hook.optional({ args: hook.texts('args'), env: hook.texts('env'), timeout: hook.optionalNumber('timeout') }) }
    }),
    additionalGids,
  }
}

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'CDI_SPEC_INVALID', message)
}

/** The members of an object of a document, each of the type that is asked for. */
class Fields {
  readonly #what: string
  readonly #values: Record<string, unknown>

  constructor(what: string, value: unknown) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw invalid(`${what} is no object`)
    this.#what = what
    this.#values = value as Record<string, unknown>
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined && this.#values[name] !== null
  }

  noneBut(...known: string[]): void {
    for (const name of Object.keys(this.#values)) if (!known.includes(name)) throw invalid(`${this.#what} has a member that is not known: ${name}`)
  }

  text(name: string): string {
    const value = this.optionalText(name)
    if (!value) throw invalid(`${this.#what} has no ${name}`)
    return value
  }

  path(name: string): string {
    const value = this.text(name)
    if (!value.startsWith('/') || value.split('/').includes('..')) throw invalid(`${this.#what}: ${name} ${value} is no absolute path`)
    return value
  }

  optionalText(name: string): string | undefined {
    return this.#value(name, (value) => typeof value === 'string') as string | undefined
  }

  optionalNumber(name: string): number | undefined {
    return this.#value(name, isNatural) as number | undefined
  }

  texts(name: string): string[] | undefined {
    return this.#value(name, (value) => Array.isArray(value) && value.every((item) => typeof item === 'string')) as string[] | undefined
  }

  numbers(name: string): number[] {
    return (this.#value(name, (value) => Array.isArray(value) && value.every(isNatural)) as number[] | undefined) ?? []
  }

  object(name: string): Fields | undefined {
    return this.has(name) ? new Fields(name, this.#values[name]) : undefined
  }

  list(name: string, what: string): Fields[] {
    return ((this.#value(name, Array.isArray) as unknown[] | undefined) ?? []).map((item) => new Fields(what, item))
  }

  /** Without what is undefined. */
  optional<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> }
  }

  #value(name: string, fits: (value: unknown) => boolean): unknown {
    if (!this.has(name)) return undefined
    const value = this.#values[name]
    if (!fits(value)) throw invalid(`${this.#what}: ${name} is of another type than it should be`)
    return value
  }
}

function isNatural(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
