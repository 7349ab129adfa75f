import { closeSync, openSync, readFileSync } from 'node:fs'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { BerthError, messageOf, SingleFlight } from '@berth/core'
import { contentPadding, encodeEntry, endOfArchive, type TarEntry, TarReader } from '@berth/layer-tar'
import { digestOf, sniffCompression } from '@berth/oci'
import type { LayerBlob, SnapshotChange, SnapshotInfo, Snapshotter } from './index.ts'

interface Node {
  entry: TarEntry
  content: Buffer
}

/** What a snapshot shows, by path without slashes at its ends. */
type Tree = Map<string, Node>

interface MemorySnapshot extends SnapshotInfo {
  tree: Tree
}

/** The snapshots themselves; several snapshotters may share them, which plays a restart. */
export class MemorySnapshots {
  readonly snapshots = new Map<string, MemorySnapshot>()
  /** Names of committed snapshots that a loss of power took. */
  readonly lost = new Set<string>()

  /** Takes all that was committed. */
  losePower(): void {
    for (const { name, kind } of this.snapshots.values()) if (kind === 'committed') this.lost.add(name)
  }
}

export interface MemorySnapshotterOptions {
  world?: MemorySnapshots
  /** Called before each operation; may wait or throw, to play slow and failing storage. */
  before?: (operation: 'apply' | 'prepare' | 'mounts' | 'stat' | 'usage' | 'diff' | 'changes' | 'list' | 'remove', key: string) => void | Promise<void>
}

export interface MemorySnapshotter extends Snapshotter {
  /** The files that a snapshot shows, with their contents; the names of directories end in `/`. */
  read(key: string): Record<string, string>
  /** Writes a file into an active snapshot, or deletes what is there; missing directories are made. */
  write(key: string, path: string, content: string | undefined): void
}

/** A {@link Snapshotter} that holds whole trees in memory. Its mounts have the type `memory` and mount nothing. */
export function memorySnapshotter({ world = new MemorySnapshots(), before = () => {} }: MemorySnapshotterOptions = {}): MemorySnapshotter {
  const { snapshots, lost } = world
  const flights = new SingleFlight<SnapshotInfo>()
  const applying = new Map<string, Promise<SnapshotInfo>>()

  const find = (key: string) => {
    const snapshot = snapshots.get(key)
    if (!snapshot || lost.has(key)) throw new BerthError('not-found', 'SNAPSHOT_NOT_FOUND', `snapshot ${key}: not found`)
    return snapshot
  }
  const parentTree = (parent: string | undefined): Tree => {
    if (parent === undefined) return new Map()
    const { kind, tree } = find(parent)
    if (kind !== 'committed') throw new BerthError('invalid-argument', 'PARENT_NOT_COMMITTED', `snapshot ${parent}: is not committed`)
    return tree
  }
  const infoOf = ({ name, kind, parent, createdAt }: MemorySnapshot): SnapshotInfo => ({ name, kind, parent, createdAt })
  const add = (snapshot: MemorySnapshot) => {
    snapshots.set(snapshot.name, snapshot)
    return infoOf(snapshot)
  }
  const treeBelow = ({ parent }: SnapshotInfo): Tree => (parent === undefined ? new Map() : find(parent).tree)

  return {
    name: 'memory',
    async apply(name, layer, { parent, signal, onProgress } = {}) {
      const base = parent === undefined ? undefined : applying.get(parent)
      const work = flights.run(name, async () => {
        const isThere = snapshots.has(name) && !lost.has(name)
        const file = isThere ? undefined : openSync(layer.path, 'r')
        try {
          await before('apply', name)
          signal?.throwIfAborted()
          if (file === undefined) return infoOf(find(name))
          if (!base) parentTree(parent)
          const tar = await readLayer(file, layer)
          await base
          signal?.throwIfAborted()
          const tree = new Map(parentTree(parent))
          applyTar(tar, tree)
          onProgress?.(tar.length)
          lost.delete(name)
          return add({ name, kind: 'committed', parent, createdAt: new Date(), tree })
        } finally {
          if (file !== undefined) closeSync(file)
        }
      })
      applying.set(name, work)
      try {
        return await work
      } finally {
        if (applying.get(name) === work) applying.delete(name)
      }
    },
    async prepare(key, { parent, signal } = {}) {
      await before('prepare', key)
      signal?.throwIfAborted()
      if (snapshots.has(key)) throw new BerthError('already-exists', 'SNAPSHOT_EXISTS', `snapshot ${key}: already exists`)
      return add({ name: key, kind: 'active', parent, createdAt: new Date(), tree: new Map(parentTree(parent)) })
    },
    async mounts(key) {
      await before('mounts', key)
      for (let below = find(key).parent; below !== undefined; below = snapshots.get(below)?.parent) {
        if (lost.has(below)) throw new BerthError('unavailable', 'SNAPSHOT_LOST', `snapshot ${key}: stands on ${below}, which was lost`)
      }
      return [{ type: 'memory', source: key, options: [find(key).kind === 'committed' ? 'ro' : 'rw'] }]
    },
    async stat(key) {
      await before('stat', key)
      return infoOf(find(key))
    },
    async usage(key) {
      await before('usage', key)
      const snapshot = find(key)
      const below = treeBelow(snapshot)
      const own = [...snapshot.tree].filter(([path, node]) => below.get(path) !== node)
      return { bytes: own.reduce((sum, [, { content }]) => sum + content.length, 0), inodes: own.length }
    },
    async *diff(key, { signal } = {}) {
      await before('diff', key)
      const snapshot = find(key)
      for (const part of layerTar(treeBelow(snapshot), snapshot.tree)) {
        signal?.throwIfAborted()
        yield part
      }
    },
    async *changes(key, { signal } = {}) {
      await before('changes', key)
      const snapshot = find(key)
      for (const change of changesOf(treeBelow(snapshot), snapshot.tree)) {
        signal?.throwIfAborted()
        yield change
      }
    },
    async list() {
      await before('list', '')
      return [...snapshots.values()].filter(({ name }) => !lost.has(name)).map(infoOf)
    },
    async remove(key) {
      await before('remove', key)
      if (!lost.has(key)) find(key)
      for (const { name, parent } of snapshots.values()) {
        if (parent === key) throw new BerthError('conflict', 'SNAPSHOT_HAS_CHILDREN', `snapshot ${key}: ${name} stands on it`)
      }
      snapshots.delete(key)
      lost.delete(key)
    },
    read(key) {
      return Object.fromEntries([...find(key).tree].map(([path, { entry, content }]) =>
        entry.type === 'directory' ? [`${path}/`, ''] : [path, content.toString()]))
    },
    write(key, path, content) {
      const { tree, kind } = find(key)
      if (kind !== 'active') throw new BerthError('conflict', 'SNAPSHOT_COMMITTED', `snapshot ${key}: is committed`)
      if (content === undefined) return removeTree(tree, path)
      put(tree, path, { entry: { ...blank, name: path, size: Buffer.byteLength(content) }, content: Buffer.from(content) })
    },
    async [Symbol.asyncDispose]() {},
  }
}

const blank: TarEntry = {
  name: '', type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 0n, linkname: '', devmajor: 0, devminor: 0, xattrs: new Map(),
}

async function readLayer(file: number, { compression, diffId, growth }: LayerBlob): Promise<Buffer> {
  let size = Infinity
  if (growth) for await (size of growth);
  const blob = readFileSync(file).subarray(0, size)
  const inflate = { none: (bytes: Buffer) => bytes, gzip: gunzipSync, zstd: zstdDecompressSync }[compression ?? sniffCompression(blob)]
  let tar: Buffer
  try {
    tar = inflate(blob)
  } catch (error) {
    throw new BerthError('data-loss', 'LAYER_CORRUPT', `the layer cannot be decompressed: ${messageOf(error)}`, { cause: error })
  }
  if (digestOf(tar) !== diffId) throw new BerthError('data-loss', 'DIFF_ID_MISMATCH', `layer content is not ${diffId}`)
  return tar
}

function applyTar(tar: Buffer, tree: Tree): void {
  const lower = new Map(tree)
  let open: Node | undefined
  const reader = new TarReader({
    entry(entry) {
      open = undefined
      const path = entry.name.split('/').filter((part) => part !== '' && part !== '.').join('/')
      const base = path.slice(path.lastIndexOf('/') + 1)
      const directory = path.slice(0, -base.length)
      if (path === '') return
      if (base === '.wh..wh..opq') removeLower(tree, lower, directory)
      else if (base.startsWith('.wh.')) removeLower(tree, lower, `${directory}${base.slice(4)}`)
      else {
        const target = entry.type === 'hardlink' ? tree.get(entry.linkname) : undefined
        open = { entry: target?.entry ?? entry, content: target?.content ?? Buffer.alloc(0) }
        put(tree, path, open)
      }
    },
    data(bytes) {
      if (open) open.content = Buffer.concat([open.content, bytes])
    },
    end() {},
  })
  reader.push(tar)
  reader.finish()
}

/** Deletes what came from below: all under `path` if it ends in `/`, else `path` itself too. */
function removeLower(tree: Tree, lower: Tree, path: string): void {
  for (const [name, node] of tree) {
    if ((name === path || name.startsWith(path.endsWith('/') || path === '' ? path : `${path}/`)) && lower.get(name) === node) tree.delete(name)
  }
}

function removeTree(tree: Tree, path: string): void {
  for (const name of tree.keys()) if (name === path || name.startsWith(`${path}/`)) tree.delete(name)
}

function put(tree: Tree, path: string, node: Node): void {
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    const parent = path.slice(0, slash)
    if (tree.get(parent)?.entry.type !== 'directory') tree.set(parent, { entry: { ...blank, type: 'directory', mode: 0o755, name: parent }, content: Buffer.alloc(0) })
  }
  if (node.entry.type !== 'directory') removeTree(tree, path)
  tree.set(path, node)
}

function* layerTar(lower: Tree, upper: Tree): Generator<Buffer> {
  const whiteouts = goneFrom(lower, upper).map((path): [string, Node] => {
    const slash = path.lastIndexOf('/') + 1
    return [`${path.slice(0, slash)}.wh.${path.slice(slash)}`, { entry: blank, content: Buffer.alloc(0) }]
  })
  const changed = [...upper].filter(([path, node]) => lower.get(path) !== node)
  for (const [name, { entry, content }] of [...whiteouts, ...changed].toSorted(([left], [right]) => (left < right ? -1 : 1))) {
    yield Buffer.concat([encodeEntry({ ...entry, name, size: content.length }), content, contentPadding(content.length)])
  }
  yield endOfArchive()
}

function changesOf(lower: Tree, upper: Tree): SnapshotChange[] {
  const kinds = new Map<string, SnapshotChange['kind']>(goneFrom(lower, upper).map((path) => [path, 'deleted']))
  for (const [path, node] of upper) {
    if (!lower.has(path)) kinds.set(path, 'added')
    else if (lower.get(path) !== node) kinds.set(path, 'modified')
  }
  for (const path of kinds.keys()) {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash)
      if (!kinds.has(parent)) kinds.set(parent, 'modified')
    }
  }
  const order = (path: string) => path.replaceAll('/', '\0')
  return [...kinds].map(([path, kind]) => ({ path: `/${path}`, kind })).toSorted((left, right) => (order(left.path) < order(right.path) ? -1 : 1))
}

/** Paths of what is gone, without what lay in a directory that is gone too. */
function goneFrom(lower: Tree, upper: Tree): string[] {
  return [...lower.keys()].filter((path) => !upper.has(path) && !gonePrefix(path, lower, upper))
}

/** Whether a directory above is gone too, or is one no more: then that says it all. */
function gonePrefix(path: string, lower: Tree, upper: Tree): boolean {
  const slash = path.lastIndexOf('/')
  if (slash < 0) return false
  const parent = path.slice(0, slash)
  return lower.has(parent) && upper.get(parent)?.entry.type !== 'directory'
}
