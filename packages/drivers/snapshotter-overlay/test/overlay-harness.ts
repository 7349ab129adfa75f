import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { mount, parseMountOptions, umount } from '@berth/linux'
import type { Mount } from '@berth/snapshotter'
import type { SnapshotterHarness } from '@berth/snapshotter/contract'
import { overlaySnapshotter } from '../src/index.ts'

/** Does something in a directory where the mounts are made, and unmounts them. */
function withMounted<T>(mounts: Mount[], work: (root: string) => T): T {
  const target = mkdtempSync(join(tmpdir(), 'berth-mount-'))
  try {
    for (const { type, source, options } of mounts) {
      const { flags, data } = parseMountOptions(options)
      mount(source, target, type, flags, data)
    }
    try {
      return work(target)
    } finally {
      for (const _ of mounts) umount(target)
    }
  } finally {
    rmSync(target, { recursive: true })
  }
}

function filesIn(root: string): Record<string, string> {
  return Object.fromEntries(readdirSync(root, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(root.length + 1)
    return entry.isDirectory() ? [`${name}/`, ''] : [name, readFileSync(path, 'utf8')]
  }))
}

export async function overlayHarness(): Promise<SnapshotterHarness & { root: string }> {
  const root = mkdtempSync(join(tmpdir(), 'berth-overlay-'))
  const open = () => overlaySnapshotter({ root, writeOutAfter: 3_600_000 })
  const harness = {
    root,
    snapshotter: open(),
    async read(key: string) {
      return withMounted(await harness.snapshotter.mounts(key), filesIn)
    },
    async write(key: string, path: string, content: string | undefined) {
      withMounted(await harness.snapshotter.mounts(key), (mounted) => {
        const file = join(mounted, path)
        if (content === undefined) return rmSync(file, { recursive: true })
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, content)
      })
    },
    async restart() {
      await harness.snapshotter[Symbol.asyncDispose]()
      harness.snapshotter = open()
    },
    async losePower() {
      await harness.snapshotter[Symbol.asyncDispose]()
      using records = new DatabaseSync(join(root, 'snapshots.db'))
      // What was not written out was made in another start of the machine now, and its files are damaged.
      for (const { id } of records.prepare('UPDATE snapshots SET unwritten = ? WHERE unwritten IS NOT NULL RETURNING id').all('an earlier boot')) {
        const directory = join(root, String(id), 'fs')
        for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true })
        writeFileSync(join(directory, 'zeros'), Buffer.alloc(4096))
      }
      harness.snapshotter = open()
    },
    async [Symbol.asyncDispose]() {
      await harness.snapshotter[Symbol.asyncDispose]()
      rmSync(root, { recursive: true })
    },
  }
  return harness
}
