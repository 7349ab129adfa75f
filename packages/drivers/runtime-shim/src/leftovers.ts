import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isErrno } from '@berth/core'
import { readMountInfo, umount } from '@berth/linux'

const run = promisify(execFile)

/**
 * Removes what a shim leaves that was killed: its container's processes, cgroups and root mounts. Each step is harmless when
 * there is nothing to do, so it may be repeated.
 */
export async function removeLeftovers(options: { id: string; bundle: string; cgroup: string | undefined; runtimeBinary: string; runtimeRoot: string }): Promise<void> {
  await run(options.runtimeBinary, ['--root', options.runtimeRoot, 'delete', '--force', options.id]).catch(() => {})
  if (options.cgroup?.startsWith('/')) for (const directory of cgroupDirectories(options.cgroup)) await removeCgroup(directory)
  const rootfs = join(options.bundle, 'rootfs')
  // Detached, since processes that were just killed may still hold it; one by one, since a mount may cover another.
  while (readMountInfo().some(({ mountPoint }) => mountPoint === rootfs)) umount(rootfs, { detach: true })
}

function cgroupDirectories(cgroup: string): string[] {
  const root = '/sys/fs/cgroup'
  return [...readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => join(root, name, cgroup)), join(root, cgroup)]
}

async function removeCgroup(directory: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      for (const pid of readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL')
      rmdirSync(directory)
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return
      // Killed processes leave their cgroup a moment later, and the kernel does not say when.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
