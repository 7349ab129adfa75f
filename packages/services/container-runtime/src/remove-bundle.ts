import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { umount } from '@berth/linux'

/** Removes a bundle. What is still mounted in it is unmounted and never entered: a container's files are not the bundle's. */
export function removeBundle(directory: string): void {
  const own = lstatSync(directory, { throwIfNoEntry: false })
  if (own?.isDirectory()) removeTree(directory, own.dev)
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
