import { statSync } from 'node:fs'
import { BerthError, messageOf } from '@berth/core'
import type { OciDevice, OciHooks, OciMount, OciSpec } from '../spec/oci-spec.ts'
import type { FoundDevice } from './cdi-devices.ts'
import type { CdiDeviceNode, CdiEdits, CdiHook } from './cdi-spec.ts'

/** The configuration of a container with CDI devices. Throws `invalid-argument` for a device node that the machine lacks. */
export function applyDevices(spec: OciSpec, devices: readonly FoundDevice[]): OciSpec {
  const specs = new Set(devices.map((found) => found.spec))
  const edits = [...specs].flatMap((found) => [found.containerEdits, ...devices.filter((device) => device.spec === found).map(({ device }) => device.containerEdits)])
  return edits.reduce(applyEdits, spec)
}

/** @see SPEC.md, OCI Edits */
function applyEdits(spec: OciSpec, edits: CdiEdits): OciSpec {
  const { process, linux } = spec
  const names = new Set(edits.env.map(nameOf))
  const nodes = edits.deviceNodes.map((node) => deviceOf(node, process.user))
  const paths = new Set(nodes.map(({ path }) => path))
  const gids = [...new Set([...(process.user.additionalGids ?? []), ...edits.additionalGids.filter((gid) => gid !== 0)])]
  const rules = nodes.map(({ type, major, minor }, index) => ({ allow: true, type, major, minor, access: edits.deviceNodes[index]?.permissions || 'rwm' }))
  const devices = [...(linux.devices ?? []).filter(({ path }) => !paths.has(path)), ...nodes]
  const hooks = edits.hooks.reduce(addHook, spec.hooks ?? {})
  return {
    ...spec,
    process: {
      ...process,
      env: [...process.env.filter((entry) => !names.has(nameOf(entry))), ...edits.env],
      user: { ...process.user, ...(gids.length > 0 ? { additionalGids: gids } : {}) },
    },
    mounts: withMounts(spec.mounts, edits),
    ...(Object.keys(hooks).length > 0 ? { hooks } : {}),
    linux: { ...linux, ...(devices.length > 0 ? { devices } : {}), resources: { ...linux.resources, devices: [...linux.resources.devices, ...rules] } },
  }
}

const nameOf = (entry: string): string => entry.split('=', 1)[0] ?? ''

/** An outer mount comes before those in it. */
function withMounts(mounts: readonly OciMount[], edits: CdiEdits): OciMount[] {
  if (edits.mounts.length === 0) return [...mounts]
  const added = edits.mounts.map(({ hostPath, containerPath, type, options = [] }) => ({ destination: containerPath, source: hostPath, type: type ?? 'bind', options: type || options.includes('bind') || options.includes('rbind') ? options : ['rbind', ...options] }))
  const taken = new Set(added.map(({ destination }) => destination))
  const depth = ({ destination }: OciMount): number => destination.split('/').filter(Boolean).length
  return [...mounts.filter(({ destination }) => !taken.has(destination)), ...added].toSorted((a, b) => depth(a) - depth(b))
}

function addHook(hooks: OciHooks, { hookName, path, args, env, timeout }: CdiHook): OciHooks {
  const hook = { path, ...(args ? { args } : {}), ...(env ? { env } : {}), ...(timeout === undefined ? {} : { timeout }) }
  return { ...hooks, [hookName]: [...(hooks[hookName] ?? []), hook] }
}

/** What a node leaves open is as on the machine; one that says nothing of its owner is the container user's. */
function deviceOf(node: CdiDeviceNode, user: { uid: number; gid: number }): OciDevice {
  const own = { uid: node.uid ?? user.uid, gid: node.gid ?? user.gid }
  const type = node.type === 'u' ? 'c' : node.type
  if ((type === 'b' || type === 'c') && node.major !== undefined && node.minor !== undefined) {
    return { path: node.path, type, major: node.major, minor: node.minor, fileMode: node.fileMode ?? 0o666, ...own }
  }
  const found = hostNode(node.hostPath ?? node.path)
  if (type && type !== found.type) throw invalid(`${node.hostPath ?? node.path} is no device of type ${type}`)
  return { path: node.path, type: found.type, major: node.major ?? found.major, minor: node.minor ?? found.minor, fileMode: node.fileMode ?? found.fileMode, ...own }
}

function hostNode(path: string): { type: 'b' | 'c'; major: number; minor: number; fileMode: number } {
  try {
    const stat = statSync(path)
    const type = stat.isBlockDevice() ? 'b' : stat.isCharacterDevice() ? 'c' : undefined
    if (!type) throw invalid(`${path} is no device`)
    const { rdev } = stat
    return { type, major: (rdev >> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00), fileMode: stat.mode & 0o777 }
  } catch (error) {
    throw error instanceof BerthError ? error : invalid(`failed to stat CDI host device "${path}": ${messageOf(error)}`)
  }
}

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'CDI_DEVICE_INVALID', `CDI device injection failed: ${message}`)
}
