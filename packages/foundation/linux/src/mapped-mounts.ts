import { closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { withFsUser } from './fs-user.ts'
import { makeMountNamespace } from './mount-namespaces.ts'
import { cloneMount, closeMount, idmapMount, moveMount, restrictMount } from './mount-trees.ts'
import { mount, parseMountOptions } from './mounts.ts'
import type { IdRange } from './user-namespaces.ts'

/** As mount(2) takes it; `options` as in fstab, one an element. */
export interface MountRequest {
  type: string
  source: string
  /** Path below the place where it is mounted; that place itself when absent. */
  target?: string
  options: readonly string[]
}

/** A user namespace by its file, and the IDs that it has. */
export interface Mapping extends IdRange {
  userNamespace: string
}

/**
 * Mounts at a directory what `mounts` say, with the owners of files as a user namespace has them. An overlay's directories are mapped and the overlay stands on the mapped ones, since overlayfs
 * itself takes no map; that happens in a mount namespace that ends with this call, so that only the result is to be seen. For worker threads.
 * @see mount_setattr(2), ID-mapped mounts; overlayfs stands on such since Linux 5.19
 */
export function mountMapped(mounts: readonly MountRequest[], mapping: Mapping, target: string): void {
  let made: number | undefined
  try {
    withUserNamespace(mapping, (user) => {
      const namespace = makeMountNamespace(() => {
        for (const request of mounts) mountOne(request, mapping, user, request.target === undefined ? target : `${target}/${request.target}`)
        made = cloneMount(target, { recursive: true })
      })
      closeSync(namespace)
    })
    if (made !== undefined) moveMount(made, target)
  } finally {
    if (made !== undefined) closeMount(made)
  }
}

/** Mounts a directory or file with all or none that is mounted below it at another place, mapped. */
export function bindMapped(source: string, mapping: Mapping, target: string, { recursive = false, isPrivate = false } = {}): void {
  const fd = cloneMount(source, { recursive })
  try {
    if (isPrivate) restrictMount(fd, { private: true, recursive })
    withUserNamespace(mapping, (user) => idmapMount(fd, user, { recursive }))
    moveMount(fd, target)
  } finally {
    closeMount(fd)
  }
}

function mountOne({ type, source, options }: MountRequest, mapping: Mapping, user: number, target: string): void {
  const { flags, data } = parseMountOptions(options)
  if (type === 'overlay') {
    const { lowers, upper, work } = overlayDirectories(options)
    for (const lower of lowers) cover(lower, user)
    if (upper !== undefined && work !== undefined) {
      // The kernel wants both in one mount.
      if (dirname(upper) === dirname(work)) cover(dirname(upper), user)
    }
    // What overlayfs makes by itself belongs to who mounted it, and a mapped directory takes no owner that is not in the map.
    withFsUser(mapping, () => mount(source, target, type, flags, data))
  } else {
    bindOne(source, user, target, options)
  }
}

function bindOne(source: string, user: number, target: string, options: readonly string[]): void {
  const recursive = options.includes('rbind')
  const fd = cloneMount(source, { recursive })
  try {
    idmapMount(fd, user, { recursive })
    restrictMount(fd, { readonly: options.includes('ro'), nosuid: options.includes('nosuid'), nodev: options.includes('nodev'), noexec: options.includes('noexec'), recursive })
    moveMount(fd, target)
  } finally {
    closeMount(fd)
  }
}

/** Puts over a directory what it holds, mapped. */
function cover(directory: string, user: number): void {
  bindOne(directory, user, directory, [])
}

function overlayDirectories(options: readonly string[]): { lowers: string[]; upper: string | undefined; work: string | undefined } {
  const valueOf = (name: string): string | undefined => options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1)
  return { lowers: valueOf('lowerdir')?.split(':') ?? [], upper: valueOf('upperdir'), work: valueOf('workdir') }
}

function withUserNamespace({ userNamespace }: Mapping, work: (fd: number) => void): void {
  const fd = openSync(userNamespace, 'r')
  try {
    work(fd)
  } finally {
    closeSync(fd)
  }
}
