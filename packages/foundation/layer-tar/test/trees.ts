import { createHash } from 'node:crypto'
import {
  chmodSync, closeSync, ftruncateSync, lchownSync, linkSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeSync,
} from 'node:fs'
import { getXattr, listXattrs, mknod, setTimes, setXattr } from '@berth/linux'
import fc from 'fast-check'

/** A file to be made, and, if a directory, what lies in it. Names and targets are byte strings. */
export interface TreeNode {
  kind: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'character-device' | 'block-device' | 'whiteout'
  mode: number
  uid: number
  gid: number
  /** Nanoseconds. */
  mtime: bigint
  xattrs: [string, Buffer][]
  /** Of files: where data lies. Between and behind are holes. */
  pieces: [offset: number, data: Buffer][]
  tail: number
  target: string
  /** Of hard links: which of the files made before, counted round. */
  nth: number
  major: number
  minor: number
  opaque: boolean
  children: Record<string, TreeNode>
}

export interface TreeOptions {
  /** Bytes of the longest name; 255 unless told otherwise. */
  longest?: number
  longestTarget?: number
  /** Only whole seconds after 1970, and owners below 2^21. */
  modest?: boolean
  devices?: boolean
  xattrs?: boolean
  /** Whiteouts and opaque directories of overlayfs. */
  whiteouts?: boolean
  holes?: boolean
  acls?: boolean
}

const byteString = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll('\0', 'n'))

/** Random trees. */
export function trees(options: TreeOptions = {}): fc.Arbitrary<Record<string, TreeNode>> {
  const { longest = 255, longestTarget = 300, modest = false, devices = true, xattrs = true, whiteouts = false, holes = false, acls = false } = options
  const name = fc.oneof(
    { weight: 4, arbitrary: fc.string({ minLength: 1, maxLength: Math.min(8, longest) }).map((text) => Buffer.from(text).toString('latin1').slice(0, longest)) },
    { weight: 3, arbitrary: byteString(1, Math.min(20, longest)) },
    { weight: 1, arbitrary: byteString(Math.min(90, longest), longest) },
  ).map((text) => text.replaceAll('/', '_').replaceAll('\0', 'n')).filter((text) => text !== '' && text !== '.' && text !== '..' && !text.startsWith('.wh.') && text !== '__proto__')
  const seconds = modest ? fc.bigInt(0n, 2n ** 33n - 1n) : fc.bigInt(-(2n ** 31n), 2n ** 33n)
  const mtime = modest ? seconds.map((time) => time * 1_000_000_000n) : fc.tuple(seconds, fc.bigInt(0n, 999_999_999n)).map(([whole, part]) => whole * 1_000_000_000n + part)
  const id = fc.constantFrom(0, 0, 1, 1000, 65534, ...(modest ? [2097151] : [2097152, 4294967294]))
  const attribute: fc.Arbitrary<[string, Buffer]> = fc.tuple(
    fc.constantFrom('user.note', 'user.a=b', 'user.100%25', 'user.ünï'), fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  )
  // Owner, user 1000, group, mask, others: for the file, or for what is made in the directory.
  const acl: fc.Arbitrary<[string, Buffer]> = fc.tuple(fc.constantFrom('system.posix_acl_access', 'system.posix_acl_default'), fc.integer({ min: 0, max: 7 }).map((bits) =>
    Buffer.from(`02000000 01000700ffffffff 02000${bits}00e8030000 04000500ffffffff 10000700ffffffff 20000500ffffffff`.replaceAll(' ', ''), 'hex')))
  const attributes: fc.Arbitrary<[string, Buffer][]> = xattrs ? fc.oneof({ weight: 2, arbitrary: fc.constant<[string, Buffer][]>([]) }, fc.array(acls ? fc.oneof(attribute, acl) : attribute, { maxLength: 2 })) : fc.constant([])
  const data = fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes))
  const pieces: fc.Arbitrary<[number, Buffer][]> = holes
    ? fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }).map((block) => block * 4096), data.filter((each) => each.length > 0)), { maxLength: 5 })
    : data.map((each) => [[0, each]])
  const kinds: fc.MaybeWeightedArbitrary<TreeNode['kind']>[] = [
    { weight: 5, arbitrary: fc.constant('file') }, { weight: 2, arbitrary: fc.constant('symlink') }, { weight: 2, arbitrary: fc.constant('hardlink') },
  ]
  if (devices) kinds.push({ weight: 1, arbitrary: fc.constantFrom('fifo', 'character-device', 'block-device') })
  if (whiteouts) kinds.push({ weight: 1, arbitrary: fc.constant('whiteout') })
  const common = {
    mode: fc.integer({ min: 0, max: 0o7777 }), uid: id, gid: id, mtime, xattrs: attributes, pieces, tail: holes ? fc.integer({ min: 0, max: 100_000 }) : fc.constant(0),
    target: byteString(1, longestTarget), nth: fc.nat(), major: fc.integer({ min: 1, max: 0xfff }), minor: fc.integer({ min: 0, max: 0xfffff }),
    opaque: whiteouts ? fc.boolean() : fc.constant(false),
  }
  return fc.letrec<{ node: TreeNode; children: Record<string, TreeNode> }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({ kind: fc.oneof(...kinds), ...common, children: fc.constant({}) }) as fc.Arbitrary<TreeNode>,
      fc.record({ kind: fc.constant('directory' as const), ...common, children: tie('children') }) as fc.Arbitrary<TreeNode>,
    ),
    children: fc.dictionary(name, tie('node'), { maxKeys: 6, noNullPrototype: true }),
  })).children
}

function bytes(path: string): Buffer {
  return Buffer.from(path, 'latin1')
}

/** Makes a tree on disk with ordinary calls. */
export function plant(root: string, children: Record<string, TreeNode>): void {
  const files: string[] = []
  plantIn(Buffer.from(root).toString('latin1'), children, files)
}

function plantIn(directory: string, children: Record<string, TreeNode>, files: string[]): void {
  for (const [name, node] of Object.entries(children)) {
    const path = `${directory}/${name}`
    const linked = node.kind === 'hardlink' && files.length > 0 ? files[node.nth % files.length]! : undefined
    if (linked !== undefined) {
      linkSync(bytes(linked), bytes(path))
      continue
    }
    if (node.kind === 'whiteout') {
      mknod(bytes(path), 0o20000)
      continue
    }
    make(path, node)
    if (node.kind === 'file') files.push(path)
    lchownSync(bytes(path), node.uid, node.gid)
    if (node.kind !== 'symlink') chmodSync(bytes(path), node.mode)
    if (node.kind === 'directory') {
      if (node.opaque) setXattr(bytes(path), 'trusted.overlay.opaque', Buffer.from('y'))
      plantIn(path, node.children, files)
    }
    for (const [key, value] of node.xattrs) {
      if (node.kind === 'directory' || (node.kind === 'file' && key !== 'system.posix_acl_default')) setXattr(bytes(path), key, value)
    }
    setTimes(bytes(path), node.mtime, node.mtime)
  }
}

function make(path: string, node: TreeNode): void {
  const device = { major: node.major, minor: node.minor }
  switch (node.kind) {
    case 'directory':
      return mkdirSync(bytes(path))
    case 'symlink':
      return symlinkSync(bytes(node.target), bytes(path))
    case 'fifo':
      return mknod(bytes(path), 0o10000)
    case 'character-device':
      return mknod(bytes(path), 0o20000, device)
    case 'block-device':
      return mknod(bytes(path), 0o60000, device)
    default: {
      const fd = openSync(bytes(path), 'wx')
      let size = 0
      for (const [offset, data] of node.pieces) {
        writeSync(fd, data, 0, data.length, offset)
        size = Math.max(size, offset + data.length)
      }
      ftruncateSync(fd, size + node.tail)
      closeSync(fd)
    }
  }
}

/** All that a tree is, by name: what must be the same after it went through an archive. The directory itself is left out. */
export function picture(root: string): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  const inodes = new Map<bigint, string>()
  const start = Buffer.from(root).toString('latin1')
  const pending = ['']
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const path = bytes(`${start}/${name}`)
    const stats = lstatSync(path, { bigint: true })
    if (stats.isDirectory()) {
      const below = readdirSync(path, { encoding: 'buffer' }).toSorted((left, right) => Buffer.compare(left, right)).toReversed()
      pending.push(...below.map((child) => (name === '' ? '' : `${name}/`) + child.toString('latin1')))
    }
    if (name === '') continue
    const first = stats.isDirectory() ? undefined : inodes.get(stats.ino)
    inodes.set(stats.ino, name)
    // When a whiteout was made is nobody's to know.
    if (stats.isCharacterDevice() && stats.rdev === 0n) found[name] = 'whiteout'
    else found[name] = first === undefined
      ? {
          mode: stats.mode.toString(8), uid: stats.uid, gid: stats.gid, mtime: stats.mtimeNs, rdev: stats.rdev,
          target: stats.isSymbolicLink() ? readlinkSync(path, { encoding: 'buffer' }).toString('latin1') : undefined,
          content: stats.isFile() ? `${stats.size} ${createHash('sha256').update(readFileSync(path)).digest('hex')}` : undefined,
          xattrs: listXattrs(path).toSorted().map((key) => [key, getXattr(path, key).toString('hex')]),
        }
      : { sameAs: first }
  }
  return found
}
