import { chmodSync, chownSync, closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BerthError, isErrno, messageOf } from '@berth/core'
import { type HeldNamespaces, type IdRange, keepNamespace, makeNetworkNamespace, makeUserNamespace, type Mapping, mknod, mount } from '@berth/linux'
import type { Mount } from '@berth/snapshotter'
import type { Container } from '../container.ts'
import { bundleOf, type Context } from '../context.ts'
import type { VolumeMount } from '../dependencies.ts'
import type { OciDevice, OciMount, OciSpec } from '../spec/oci-spec.ts'
import { usernsOwner } from './choose-mapping.ts'
import { mappedDirectory } from './mapped-directory.ts'

function namespaceFileOf(ctx: Context, id: string): string {
  return join(bundleOf(ctx, id), mappedDirectory, 'user')
}

/**
 * The user namespace that a container is about to run in. All that it mounts lies in the container's bundle and goes with it, after a crash too: the bundle is made and
 * removed by the container's record.
 */
export class ContainerUserns implements Disposable {
  readonly #ctx: Context
  readonly #bundle: string
  readonly #mapping: Mapping
  readonly #held: HeldNamespaces | undefined
  /** File of the network namespace that the container's user namespace owns, while this is not disposed; undefined for a container that joins another's. */
  readonly network: string | undefined
  #mounted = 0

  private constructor(ctx: Context, bundle: string, mapping: Mapping, held: HeldNamespaces | undefined) {
    this.#ctx = ctx
    this.#bundle = bundle
    this.#mapping = mapping
    this.#held = held
    this.network = held?.net
  }

  /**
   * Makes it, in a bundle that is there; undefined for a container in the machine's own.
   * @throws `conflict` when the container whose user namespace it joins does not run; `unavailable` where there can be none
   */
  static async open(ctx: Context, container: Container): Promise<ContainerUserns | undefined> {
    const { userns } = container.record.definition
    if (!userns) return undefined
    const bundle = bundleOf(ctx, container.id)
    letPass(bundle, userns.gid)
    mkdirSync(join(bundle, mappedDirectory), { mode: 0o700 })
    const file = namespaceFileOf(ctx, container.id)
    const owner = usernsOwner(ctx, container)
    if (owner !== container) joinNamespace(ctx, owner, file)
    const held = await namespacesFor(container, userns, owner === container ? undefined : file)
    try {
      if (held && owner === container) keepNamespace(held.user, file)
      return new ContainerUserns(ctx, bundle, { ...userns, userNamespace: file }, held)
    } catch (error) {
      held?.[Symbol.dispose]()
      throw error
    }
  }

  /** Mounts the root file system in the bundle, its owners as the namespace has them. Throws `unavailable` where the kernel or a file system cannot. */
  async mountRoot(mounts: readonly Mount[]): Promise<void> {
    const rootfs = join(this.#bundle, 'rootfs')
    mkdirSync(rootfs, { recursive: true, mode: 0o755 })
    await this.#mapped('the root file system', () => this.#ctx.namespaces.mountMapped(mounts, this.#mapping, rootfs))
  }

  /** The same mounts, those of directories and files of the machine mapped. Throws `unavailable` where a file system cannot. */
  async mapVolumes(volumes: readonly VolumeMount[]): Promise<VolumeMount[]> {
    const mapped: VolumeMount[] = []
    for (const volume of volumes) mapped.push(volume.type === 'bind' ? { ...volume, source: await this.#bind(volume) } : volume)
    return mapped
  }

  /** Gives files that the engine has made for the container to its root. */
  own(files: readonly (string | undefined)[]): void {
    for (const file of files) if (file !== undefined) chownSync(file, this.#mapping.uid, this.#mapping.gid)
  }

  /** Puts the container into the namespace. Its devices are made here, as root of a namespace can make none. */
  apply(spec: OciSpec): OciSpec {
    const { uid, gid, size, userNamespace } = this.#mapping
    const { sysctl } = spec.linux
    // A group that the namespace does not have is refused.
    const pings: Record<string, string> = sysctl?.['net.ipv4.ping_group_range'] === '0 2147483647' ? { 'net.ipv4.ping_group_range': `0 ${size - 1}` } : {}
    const { devices = [], ...linux } = spec.linux
    return {
      ...spec,
      mounts: [...spec.mounts, ...this.#makeDevices(devices)],
      linux: {
        ...linux,
        namespaces: [...spec.linux.namespaces, { type: 'user', path: userNamespace }],
        uidMappings: [{ containerID: 0, hostID: uid, size }],
        gidMappings: [{ containerID: 0, hostID: gid, size }],
        ...(sysctl ? { sysctl: { ...sysctl, ...pings } } : {}),
      },
    }
  }

  /** Lets go of the process that held the namespaces until somebody else does. */
  [Symbol.dispose](): void {
    this.#held?.[Symbol.dispose]()
  }

  #makeDevices(devices: readonly OciDevice[]): OciMount[] {
    if (devices.length === 0) return []
    const directory = join(this.#bundle, mappedDirectory, 'devices')
    mkdirSync(directory, { mode: 0o700 })
    // Devices of the bundle's own file system can perhaps not be opened.
    mount('devices', directory, 'tmpfs', 0, 'mode=755,size=64k')
    const { uid, gid, size } = this.#mapping
    const outside = (id: number, first: number): number => first + (id < size ? id : 0)
    return devices.map((device, index) => {
      const source = join(directory, String(index))
      mknod(source, (device.type === 'b' ? constants.S_IFBLK : constants.S_IFCHR) | 0o600, device)
      chmodSync(source, device.fileMode & 0o777)
      chownSync(source, outside(device.uid, uid), outside(device.gid, gid))
      return { destination: device.path, type: 'bind', source, options: ['bind', 'rprivate', 'nosuid', 'noexec'] }
    })
  }

  async #bind({ source, options }: VolumeMount): Promise<string> {
    const target = join(this.#bundle, mappedDirectory, String(this.#mounted++))
    if (statSync(source).isDirectory()) mkdirSync(target, { mode: 0o700 })
    else closeSync(openSync(target, 'wx', 0o600))
    const isPrivate = options.includes('private') || options.includes('rprivate')
    await this.#mapped(source, () => this.#ctx.namespaces.bindMapped(source, this.#mapping, target, { recursive: options.includes('rbind'), isPrivate }))
    return target
  }

  async #mapped(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (cause) {
      if (!isErrno(cause, 'EINVAL', 'EPERM', 'ENOSYS', 'EOPNOTSUPP', 'EOVERFLOW')) throw cause
      throw new BerthError('unavailable', 'IDMAP_UNSUPPORTED', `${what} cannot be had in a user namespace, as the kernel or a file system there cannot map owners (--userns=host is without): ${messageOf(cause)}`, { cause })
    }
  }
}

/** @param joined File of the user namespace of the container that this one joins. */
async function namespacesFor({ record }: Container, ids: IdRange, joined: string | undefined): Promise<HeldNamespaces | undefined> {
  if (joined === undefined) return makeUserNamespace(ids)
  return record.definition.host.NetworkMode?.startsWith('container:') ? undefined : makeNetworkNamespace(joined)
}

function joinNamespace(ctx: Context, owner: Container | undefined, file: string): void {
  if (!owner?.run) throw new BerthError('conflict', 'JOINED_NOT_RUNNING', `cannot join the user namespace of a non running container: ${owner?.id ?? ''}`)
  keepNamespace(namespaceFileOf(ctx, owner.id), file)
}

/**
 * The container's root reaches its root file system by the bundle's path, by the group that is root's inside. Nobody else does: what the container's files let others read, write
 * and run as their owner is not for the users of the machine.
 */
function letPass(bundle: string, group: number): void {
  chownSync(bundle, 0, group)
  chmodSync(bundle, 0o710)
  chmodSync(dirname(bundle), (statSync(dirname(bundle)).mode & 0o7777) | 0o001)
  for (let directory = dirname(dirname(bundle)); ; directory = dirname(directory)) {
    if (!(statSync(directory).mode & 0o001)) {
      throw new BerthError('unavailable', 'USERNS_PATH', `${directory} lets nobody else pass, so that root of a user namespace cannot reach its files in ${bundle}`, { hint: `chmod o+x ${directory}` })
    }
    if (directory === '/') return
  }
}
