import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { gzipSync } from 'node:zlib'
import { type TarMember, tarOf } from '@berth/layer-tar'
import { digestOf } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { overlaySnapshotter } from '../src/index.ts'
import { overlayHarness } from './overlay-harness.ts'

let harness: Awaited<ReturnType<typeof overlayHarness>>
let files = 0

beforeEach(async () => void (harness = await overlayHarness()))
afterEach(async () => harness[Symbol.asyncDispose]())

function layer(members: TarMember[]) {
  const tar = tarOf(members)
  const path = join(harness.root, `layer-${files++}.tar`)
  writeFileSync(path, tar)
  return { path, diffId: digestOf(tar) }
}

/** What the records say about writing out, by name. */
function unwritten(root: string): Record<string, boolean> {
  using records = new DatabaseSync(join(root, 'snapshots.db'), { readOnly: true })
  return Object.fromEntries(records.prepare('SELECT name, unwritten FROM snapshots').all().map(({ name, unwritten: boot }) => [name, boot !== null]))
}

describe('overlay snapshotter', { timeout: 60_000 }, () => {
  it('shows 128 layers as one, mounted', async () => {
    const names = Array.from({ length: 128 }, (_, index) => `layer-${index}`)
    await Promise.all(names.map((name, index) => harness.snapshotter.apply(name, layer([{ name: `from-${index}` }, { name: 'last', content: name }]), { parent: names[index - 1] })))
    await harness.snapshotter.prepare('one', { parent: names.at(-1) })
    await harness.write('one', 'own', 'x')
    const view = await harness.read('one')
    expect(Object.keys(view)).toHaveLength(130)
    expect(view['last']).toBe('layer-127')
    expect(Object.keys(await harness.read('layer-127'))).toHaveLength(129)
  })

  it('unpacks what has come while the rest is under way', async () => {
    const tar = tarOf([{ name: 'first', content: randomBytes(2_000_000) }, { name: 'second', content: randomBytes(2_000_000) }])
    const path = join(harness.root, 'arriving')
    const whole = gzipSync(tar, { level: 1 })
    const half = whole.length >> 1
    writeFileSync(path, whole.subarray(0, half))
    const seen = Promise.withResolvers<void>()
    async function* growth() {
      yield half
      // The second half comes when some of the first was unpacked.
      await seen.promise
      appendFileSync(path, whole.subarray(half))
      yield whole.length
    }
    await harness.snapshotter.apply('base', { path, diffId: digestOf(tar), growth: growth() }, { onProgress: (bytes) => bytes > 0 && seen.resolve() })
    expect(Object.keys(await harness.read('base')).toSorted()).toEqual(['first', 'second'])
  })

  it('gives directories that a layer does not describe what they have below, the root among them, also when that arrives later', async () => {
    const base = layer([{ name: './', mode: 0o751, uid: 7, gid: 8, mtime: 5_000_000_000n }, { name: 'var/', mode: 0o1777, uid: 5 }, { name: 'var/lib/', mode: 0o700 }])
    const arrived = Promise.withResolvers<void>()
    async function* growth() {
      await arrived.promise
      yield statSync(base.path).size
    }
    const applying = [
      harness.snapshotter.apply('base', { ...base, growth: growth() }),
      harness.snapshotter.apply('middle', layer([{ name: 'var/lib/x' }]), { parent: 'base' }),
      harness.snapshotter.apply('top', layer([{ name: 'var/lib/y' }]), { parent: 'middle' }),
    ]
    arrived.resolve()
    await Promise.all(applying)
    for (const id of [1, 2, 3]) {
      const at = (path: string) => lstatSync(join(harness.root, String(id), 'fs', path))
      expect(at('.')).toMatchObject({ mode: 0o40751, uid: 7, gid: 8, mtimeMs: 5000 })
      expect(at('var')).toMatchObject({ mode: 0o41777, uid: 5 })
      expect(at('var/lib')).toMatchObject({ mode: 0o40700 })
    }
  })

  it('counts as lost only what was not written out', async () => {
    await harness.snapshotter.apply('base', layer([{ name: 'base' }]))
    await harness.snapshotter.apply('top', layer([{ name: 'top' }]), { parent: 'base' })
    expect(unwritten(harness.root)).toEqual({ base: true, top: true })
    await harness.snapshotter[Symbol.asyncDispose]()
    // An instance that comes after a kill -9 writes out what the last one left, too.
    harness.snapshotter = overlaySnapshotter({ root: harness.root, writeOutAfter: 1 })
    await expect.poll(() => unwritten(harness.root), { timeout: 30_000 }).toEqual({ base: false, top: false })
    await harness.restart()
    await harness.snapshotter.apply('late', layer([{ name: 'late' }]), { parent: 'top' })
    expect(unwritten(harness.root)).toEqual({ base: false, top: false, late: true })
    await harness.losePower()
    expect((await harness.snapshotter.list()).map(({ name }) => name)).toEqual(['base', 'top'])
    expect(await harness.read('top')).toEqual({ base: '', top: '' })
  })

  it('deletes what was lost and nothing stands on', async () => {
    await harness.snapshotter.apply('base', layer([{ name: 'base' }]))
    await harness.snapshotter.apply('top', layer([{ name: 'top' }]), { parent: 'base' })
    await harness.losePower()
    await harness.restart()
    expect(readdirSync(harness.root).filter((name) => /^\d+$/.test(name))).toEqual([])
  })

  it('makes a lost layer again in its own directory', async () => {
    const base = layer([{ name: 'base' }])
    await harness.snapshotter.apply('base', base)
    await harness.snapshotter.prepare('one', { parent: 'base' })
    await harness.losePower()
    expect(existsSync(join(harness.root, '1/fs/zeros'))).toBe(true)
    await harness.snapshotter.apply('base', base)
    expect(readdirSync(join(harness.root, '1/fs'))).toEqual(['base'])
    expect(unwritten(harness.root)).toEqual({ base: true, one: false })
  })

  it('tells of changed owners and modes, and not of what is as it was', async () => {
    const time = 1_000_000_000n
    await harness.snapshotter.apply('base', layer(['a', 'b', 'c', 'd'].map((name) => ({ name: `dir/${name}`, content: name, mtime: time }))))
    await harness.snapshotter.apply('same', layer([{ name: 'dir/a', content: 'a', mtime: time }, { name: 'dir/b', content: 'b', mtime: time, mode: 0o755 }, { name: 'dir/.wh.nothing' }]), { parent: 'base' })
    await harness.snapshotter.prepare('one', { parent: 'same' })
    const changes = async (key: string) => {
      const all: string[] = []
      for await (const { kind, path } of harness.snapshotter.changes(key)) all.push(`${kind} ${path}`)
      return all
    }
    expect(await changes('same')).toEqual(['modified /dir', 'modified /dir/b'])
    const upper = join(harness.root, '3/fs')
    mkdirSync(join(upper, 'dir'))
    expect(await changes('one')).toEqual([])
    chmodSync(join(upper, 'dir'), 0o700)
    expect(await changes('one')).toEqual(['modified /dir'])
    writeFileSync(join(upper, 'dir/c'), 'c')
    chownSync(join(upper, 'dir/c'), 3, 4)
    expect(await changes('one')).toEqual(['modified /dir', 'modified /dir/c'])
    expect(await changes('base')).toEqual(['added /dir', 'added /dir/a', 'added /dir/b', 'added /dir/c', 'added /dir/d'])
  })

  it('asks ext4 to lay out each snapshot in a place of its own', async (context) => {
    const type = execFileSync('stat', ['-f', '-c', '%T', harness.root], { encoding: 'utf8' }).trim()
    if (type !== 'ext2/ext3') return context.skip(`the file system is ${type}`)
    expect(execFileSync('lsattr', ['-d', harness.root], { encoding: 'utf8' }).split(' ')[0]).toContain('T')
  })
})
