import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isErrno } from '@berth/core'
import { readMountInfo, umount } from '@berth/linux'

const run = promisify(execFile)
/** Milliseconds that a runtime is given to forget a container; one that hangs does not hold up the rest. */
const patience = 10_000

/**
 * Removes what a shim leaves that was killed: its container's processes, cgroups and root mounts. Each step is harmless when
 * there is nothing to do, so it may be repeated.
 */
export async function removeLeftovers(options: { id: string; bundle: string; cgroup: string | undefined; runtime: { binary: string; root: string } | undefined }): Promise<void> {
  const cgroups = options.cgroup?.startsWith('/') ? cgroupDirectories(options.cgroup) : []
  for (const directory of cgroups) killAll(directory)
  if (options.runtime) await run(options.runtime.binary, ['--root', options.runtime.root, 'delete', '--force', options.id], { timeout: patience, killSignal: 'SIGKILL' }).catch(() => {})
  for (const directory of cgroups) await removeCgroup(directory)
  const rootfs = join(options.bundle, 'rootfs')
  // Detached, since processes that were just killed may still hold it; one by one, since a mount may cover another.
  while (readMountInfo().some(({ mountPoint }) => mountPoint === rootfs)) umount(rootfs, { detach: true })
}

function cgroupDirectories(cgroup: string): string[] {
  const root = '/sys/fs/cgroup'
  return [root, ...readdirSync(root).map((name) => join(root, name))].map((mount) => join(mount, cgroup)).filter((directory) => existsSync(directory))
}

function killAll(directory: string): void {
  // A frozen process does not die.
  for (const [file, thawed] of [['freezer.state', 'THAWED'], ['cgroup.freeze', '0']] as const) {
    if (existsSync(join(directory, file))) writeFileSync(join(directory, file), thawed)
  }
  for (const pid of readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error
    }
  }
}

async function removeCgroup(directory: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      killAll(directory)
      rmdirSync(directory)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return
      // Killed processes leave their cgroup a moment later, and the kernel does not say when.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
