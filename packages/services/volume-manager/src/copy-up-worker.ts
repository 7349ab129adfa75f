import { closeSync, constants, openSync, readdirSync } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { serveCalls } from '@berth/core'
import { copyDirectory } from './copy-tree.ts'

/** What the thread is asked to do. */
export interface CopyUpJobs {
  /** Copies from an open directory of an image into an empty one of this machine. */
  copy(source: number, target: string): void
  /** Bytes of the files under a directory of this machine. */
  size(path: string): Promise<number>
}

async function sizeOf(path: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    bytes += entry.isDirectory() ? await sizeOf(child) : (await lstat(child)).size
  }
  return bytes
}

function copy(source: number, path: string): void {
  const target = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    // Filled meanwhile, by a container that began to use it: what is there stays.
    if (readdirSync(path).length === 0) copyDirectory(source, target)
  } finally {
    closeSync(target)
  }
}

serveCalls<CopyUpJobs>({ copy, size: sizeOf })
