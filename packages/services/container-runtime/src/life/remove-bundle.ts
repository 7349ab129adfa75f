import { existsSync, lstatSync, readdirSync, realpathSync, rmdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { readMountInfo, umount } from '@berth/linux'
import { mappedDirectory } from '../userns/mapped-directory.ts'

/** Removes a bundle. What is still mounted in it is unmounted and never entered: a container's files are not the bundle's. */
export function removeBundle(directory: string): void {
  const own = lstatSync(directory, { throwIfNoEntry: false })
  if (!own?.isDirectory()) return
  removeMapped(directory)
  removeTree(directory, own.dev)
}

/** What is mounted for a user namespace may be of the bundle's own file system, so that only the kernel can tell. What it lies on is empty. */
function removeMapped(bundle: string): void {
  const mapped = join(bundle, mappedDirectory)
  if (!existsSync(mapped)) return
  const below = `${realpathSync(bundle)}/`
  for (let mounts = mountPoints(below); mounts.length > 0; mounts = mountPoints(below)) umount(mounts.at(-1)!, { detach: true })
  for (const entry of readdirSync(mapped, { withFileTypes: true })) {
    if (entry.isDirectory()) rmdirSync(join(mapped, entry.name))
    else unlinkSync(join(mapped, entry.name))
  }
}

function mountPoints(below: string): string[] {
  return readMountInfo().map(({ mountPoint }) => mountPoint).filter((mountPoint) => mountPoint.startsWith(below))
}

function removeTree(directory: string, device: number): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (!entry.isDirectory()) {
      unlinkSync(path)
      continue
    }
    while (lstatSync(path).dev !== device) umount(path, { detach: true })
    removeTree(path, device)
  }
  rmdirSync(directory)
}
