import { randomBytes } from 'node:crypto'
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type TarMember, tarOf } from '@berth/layer-tar'
import { digestOf } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LayerBlob, Snapshotter } from './index.ts'

export interface SnapshotterHarness extends AsyncDisposable {
  snapshotter: Snapshotter
  /** The files that a snapshot shows when it is mounted, with their contents; the names of directories end in `/`. */
  read(key: string): Promise<Record<string, string>>
  /** Writes a file into a mounted active snapshot, or deletes what is there; missing directories are made. */
  write(key: string, path: string, content: string | undefined): Promise<void>
  /** Disposes `snapshotter` and puts a new one over the same state in its place, as after a restart. */
  restart(): Promise<void>
  /** The same, as after a loss of power in which nothing that can be lost was kept. */
  losePower(): Promise<void>
}

/** Runs the snapshotter suite on what `setUp` makes afresh for each test. */
export function describeSnapshotter(name: string, setUp: () => Promise<SnapshotterHarness>): void {
  describe(`snapshotter contract: ${name}`, { timeout: 30_000 }, () => {
    let harness: SnapshotterHarness
    let directory: string
    let layers = 0

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'berth-layers-'))
      harness = await setUp()
    })
    afterEach(async () => {
      await harness[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    })

    const blob = async (content: Buffer, diffId: string, compression: LayerBlob['compression'] = 'none'): Promise<LayerBlob> => {
      const path = join(directory, String(layers++))
      await writeFile(path, content)
      return { path, compression, diffId }
    }
    const layer = (members: TarMember[], compression: LayerBlob['compression'] = 'none') => {
      const tar = tarOf(members)
      const content = { none: () => tar, gzip: () => gzipSync(tar), zstd: () => zstdCompressSync(tar) }[compression]()
      return blob(content, digestOf(tar), compression)
    }
    const base = () => layer([
      { name: 'etc/' },
      { name: 'etc/hosts', content: 'localhost' },
      { name: 'etc/passwd', content: 'root' },
      { name: 'bin/' },
      { name: 'bin/sh', content: 'shell', mode: 0o755 },
    ])
    const baseView = { 'etc/': '', 'etc/hosts': 'localhost', 'etc/passwd': 'root', 'bin/': '', 'bin/sh': 'shell' }
    const names = async () => (await harness.snapshotter.list()).map((snapshot) => snapshot.name).toSorted()
    const changesIn = async (key: string) => {
      const changes: string[] = []
      for await (const { kind, path } of harness.snapshotter.changes(key)) changes.push(`${kind} ${path}`)
      return changes
    }
    const collect = async (key: string, options?: { signal: AbortSignal }) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of harness.snapshotter.diff(key, options)) chunks.push(chunk)
      return Buffer.concat(chunks)
    }

    describe('apply', () => {
      it('commits a layer', async () => {
        const before = Date.now() - 1000
        const info = await harness.snapshotter.apply('base', await base())
        expect(info).toMatchObject({ name: 'base', kind: 'committed', parent: undefined })
        expect(info.createdAt.getTime()).toBeGreaterThan(before)
        expect(await harness.snapshotter.stat('base')).toEqual(info)
        expect(await harness.snapshotter.list()).toEqual([info])
        expect(await harness.read('base')).toEqual(baseView)
      })

      it('knows each compression', async () => {
        for (const compression of ['none', 'gzip', 'zstd'] as const) {
          await harness.snapshotter.apply(compression, await layer([{ name: 'how', content: compression }], compression))
          expect(await harness.read(compression)).toEqual({ how: compression })
        }
      })

      it('finds the compression', async () => {
        for (const compression of ['none', 'gzip', 'zstd'] as const) {
          const { compression: _, ...rest } = await layer([{ name: 'how', content: compression }], compression)
          await harness.snapshotter.apply(compression, rest)
          expect(await harness.read(compression)).toEqual({ how: compression })
        }
      })

      it('stacks layers: adds, replaces, deletes, makes opaque', async () => {
        await harness.snapshotter.apply('base', await base())
        const info = await harness.snapshotter.apply('changes', await layer([
          { name: 'etc/' },
          { name: 'etc/hosts', content: 'changed' },
          { name: 'etc/.wh.passwd' },
          { name: 'new/' },
          { name: 'new/file', content: 'new' },
        ]), { parent: 'base' })
        expect(info.parent).toBe('base')
        expect(await harness.read('changes')).toEqual({
          'etc/': '', 'etc/hosts': 'changed', 'bin/': '', 'bin/sh': 'shell', 'new/': '', 'new/file': 'new',
        })
        await harness.snapshotter.apply('opaque', await layer([
          { name: 'etc/' },
          { name: 'etc/only', content: 'this' },
          { name: 'etc/.wh..wh..opq' },
          { name: '.wh.bin' },
          { name: 'new', content: 'a file now' },
        ]), { parent: 'changes' })
        expect(await harness.read('opaque')).toEqual({ 'etc/': '', 'etc/only': 'this', new: 'a file now' })
        expect(await harness.read('base')).toEqual(baseView)
      })

      it('answers at once for a name that exists', async () => {
        const info = await harness.snapshotter.apply('base', await base())
        const missing = { path: join(directory, 'missing'), compression: 'none', diffId: digestOf('x') } as const
        expect(await harness.snapshotter.apply('base', missing)).toEqual(info)
      })

      it('lets calls for one name join', async () => {
        const content = await base()
        const [one, two] = await Promise.all([harness.snapshotter.apply('base', content), harness.snapshotter.apply('base', content)])
        expect(one).toEqual(two)
        expect(await names()).toEqual(['base'])
      })

      it('applies many layers at the same time', async () => {
        const keys = ['a', 'b', 'c', 'd', 'e', 'f']
        await Promise.all(keys.map(async (key) => harness.snapshotter.apply(key, await layer([{ name: key, content: key }]))))
        for (const key of keys) expect(await harness.read(key)).toEqual({ [key]: key })
      })

      it('reports progress up to the uncompressed size', async () => {
        const tar = tarOf([{ name: 'zeros', content: Buffer.alloc(1_000_000) }])
        const seen: number[] = []
        await harness.snapshotter.apply('zeros', await blob(gzipSync(tar), digestOf(tar), 'gzip'), { onProgress: (bytes) => seen.push(bytes) })
        expect(seen.at(-1)).toBe(tar.length)
        expect(seen).toEqual(seen.toSorted((left, right) => left - right))
      })

      it('refuses a parent that is unknown or active', async () => {
        await harness.snapshotter.prepare('active')
        await expect(harness.snapshotter.apply('top', await base(), { parent: 'missing' })).rejects.toMatchObject({ kind: 'not-found' })
        await expect(harness.snapshotter.apply('top', await base(), { parent: 'active' })).rejects.toMatchObject({ kind: 'invalid-argument' })
        expect(await names()).toEqual(['active'])
      })

      it('finds content that is not its diffId, leaves nothing, and takes the right one then', async () => {
        const good = await base()
        await expect(harness.snapshotter.apply('base', { ...good, diffId: digestOf('other') })).rejects.toMatchObject({ kind: 'data-loss' })
        expect(await names()).toEqual([])
        await expect(harness.snapshotter.stat('base')).rejects.toMatchObject({ kind: 'not-found' })
        await harness.snapshotter.apply('base', good)
        expect(await harness.read('base')).toEqual(baseView)
      })

      it('finds truncated and broken layers', async () => {
        const tar = tarOf([{ name: 'file', content: randomBytes(100_000) }])
        const zipped = gzipSync(tar)
        const flipped = Buffer.from(zipped)
        flipped[50_000]! ^= 0xff
        const cut = tar.subarray(0, 50_000)
        const broken = [
          await blob(zipped.subarray(0, 60_000), digestOf(tar), 'gzip'),
          await blob(flipped, digestOf(tar), 'gzip'),
          await blob(zstdCompressSync(tar).subarray(0, 60_000), digestOf(tar), 'zstd'),
          await blob(randomBytes(4096), digestOf(tar), 'gzip'),
          await blob(cut, digestOf(cut)),
          await blob(Buffer.alloc(2048, 'garbage'), digestOf(Buffer.alloc(2048, 'garbage'))),
        ]
        for (const bad of broken) await expect(harness.snapshotter.apply('bad', bad)).rejects.toMatchObject({ kind: 'data-loss' })
        expect(await names()).toEqual([])
      })

      it('has opened the file when it gives control back', async () => {
        const content = await base()
        const applying = harness.snapshotter.apply('base', content)
        await rename(content.path, `${content.path}.elsewhere`)
        await applying
        expect(await harness.read('base')).toEqual(baseView)
        await expect(harness.snapshotter.apply('other', content)).rejects.toSatisfy((error) => error instanceof Error)
        expect(await names()).toEqual(['base'])
      })

      describe('a file that is still being written', () => {
        const pieces = async (compression: LayerBlob['compression']) => {
          const tar = tarOf([{ name: 'big', content: randomBytes(400_000).toString('hex') }, { name: 'small', content: 'x' }])
          const whole = { none: () => tar, gzip: () => gzipSync(tar), zstd: () => zstdCompressSync(tar) }[compression!]()
          const { path } = await blob(Buffer.alloc(0), digestOf(tar))
          return { path, whole, diffId: digestOf(tar), half: whole.length >> 1 }
        }

        it('is unpacked to its end, which is the last number', async () => {
          for (const compression of ['none', 'gzip', 'zstd'] as const) {
            const { path, whole, diffId, half } = await pieces(compression)
            async function* growth() {
              await appendFile(path, whole.subarray(0, 2))
              yield 2
              await appendFile(path, whole.subarray(2, half))
              yield half
              await appendFile(path, Buffer.concat([whole.subarray(half), Buffer.from('not yet told of')]))
              yield whole.length
            }
            await harness.snapshotter.apply(compression, { path, diffId, growth: growth() })
            expect(Object.keys(await harness.read(compression)).toSorted()).toEqual(['big', 'small'])
          }
        })

        it('fails as the rest fails to come, even if what came was all', async () => {
          const { path, whole, diffId, half } = await pieces('gzip')
          await writeFile(path, whole)
          const cut = new Error('the peer has gone')
          for (const end of [half, whole.length]) {
            async function* growth() {
              yield end
              throw cut
            }
            await expect(harness.snapshotter.apply('cut', { path, diffId, growth: growth() })).rejects.toBe(cut)
            expect(await names()).toEqual([])
          }
          await harness.snapshotter.apply('cut', { path, diffId })
          expect(await names()).toEqual(['cut'])
        })

        it('that ends too early is broken', async () => {
          const { path, whole, diffId, half } = await pieces('gzip')
          await writeFile(path, whole)
          async function* growth() {
            yield half
          }
          await expect(harness.snapshotter.apply('short', { path, diffId, growth: growth() })).rejects.toMatchObject({ kind: 'data-loss' })
          expect(await names()).toEqual([])
        })

        it('holds up no other', async () => {
          const { path, whole, diffId, half } = await pieces('gzip')
          await writeFile(path, whole)
          const rest = Promise.withResolvers<void>()
          async function* growth() {
            yield half
            await rest.promise
            yield whole.length
          }
          const slow = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => harness.snapshotter.apply(key, { path, diffId, growth: growth() }))
          await harness.snapshotter.apply('base', await base())
          expect(await names()).toEqual(['base'])
          rest.resolve()
          await Promise.all(slow)
          expect(await names()).toHaveLength(7)
        })
      })

      describe('a parent that is being applied', () => {
        const top = () => layer([{ name: 'etc/hosts', content: 'changed' }, { name: 'bin/.wh.sh' }])

        it('is stood on, whichever is unpacked first', async () => {
          const [bottom, middle, last] = [await base(), await layer([{ name: 'new/' }, { name: 'new/file', content: 'new' }]), await top()]
          const arrived = Promise.withResolvers<void>()
          async function* late(size: number) {
            await arrived.promise
            yield size
          }
          const size = Buffer.byteLength(tarOf([{ name: 'etc/' }, { name: 'etc/hosts', content: 'localhost' }, { name: 'etc/passwd', content: 'root' }, { name: 'bin/' }, { name: 'bin/sh', content: 'shell', mode: 0o755 }]))
          const order: string[] = []
          const applying = [
            harness.snapshotter.apply('1', { ...bottom, growth: late(size) }),
            harness.snapshotter.apply('2', middle, { parent: '1' }),
            harness.snapshotter.apply('3', last, { parent: '2' }),
          ].map((applied) => applied.then(({ name }) => order.push(name)))
          await harness.snapshotter.apply('other', middle)
          expect(await names()).toEqual(['other'])
          arrived.resolve()
          await Promise.all(applying)
          expect(order).toEqual(['1', '2', '3'])
          expect((await harness.snapshotter.stat('3')).parent).toBe('2')
          expect(await harness.read('3')).toEqual({ 'etc/': '', 'etc/hosts': 'changed', 'etc/passwd': 'root', 'bin/': '', 'new/': '', 'new/file': 'new' })
        })

        it('and fails takes what was to stand on it along', async () => {
          const [bottom, middle, last] = [await base(), await base(), await top()]
          const applied = await Promise.allSettled([
            harness.snapshotter.apply('1', { ...bottom, diffId: digestOf('other') }),
            harness.snapshotter.apply('2', middle, { parent: '1' }),
            harness.snapshotter.apply('3', last, { parent: '2' }),
          ])
          for (const outcome of applied) expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'data-loss' } })
          expect(await names()).toEqual([])
        })

        it('is not harmed by the failure of what was to stand on it', async () => {
          const [bottom, last] = [await base(), await top()]
          const applied = await Promise.allSettled([
            harness.snapshotter.apply('1', bottom),
            harness.snapshotter.apply('2', { ...last, diffId: digestOf('other') }, { parent: '1' }),
          ])
          expect(applied.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
          expect(await names()).toEqual(['1'])
        })
      })

      it('makes nothing for an aborted caller', async () => {
        await expect(harness.snapshotter.apply('base', await base(), { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
        expect(await names()).toEqual([])
      })
    })

    describe('active snapshots', () => {
      it('stand on a parent and hide what is written in them from all others', async () => {
        await harness.snapshotter.apply('base', await base())
        const info = await harness.snapshotter.prepare('one', { parent: 'base' })
        expect(info).toMatchObject({ name: 'one', kind: 'active', parent: 'base' })
        await harness.snapshotter.prepare('two', { parent: 'base' })
        await harness.write('one', 'etc/hosts', 'mine')
        await harness.write('one', 'bin', undefined)
        expect(await harness.read('one')).toEqual({ 'etc/': '', 'etc/hosts': 'mine', 'etc/passwd': 'root' })
        expect(await harness.read('two')).toEqual(baseView)
        expect(await harness.read('base')).toEqual(baseView)
      })

      it('stand on nothing', async () => {
        await harness.snapshotter.prepare('empty')
        expect(await harness.read('empty')).toEqual({})
        await harness.write('empty', 'a/b', 'c')
        expect(await harness.read('empty')).toEqual({ 'a/': '', 'a/b': 'c' })
      })

      it('refuse a name that exists, a parent that is unknown, and one that is active', async () => {
        await harness.snapshotter.apply('base', await base())
        await harness.snapshotter.prepare('one', { parent: 'base' })
        await expect(harness.snapshotter.prepare('one')).rejects.toMatchObject({ kind: 'already-exists' })
        await expect(harness.snapshotter.prepare('base')).rejects.toMatchObject({ kind: 'already-exists' })
        await expect(harness.snapshotter.prepare('two', { parent: 'missing' })).rejects.toMatchObject({ kind: 'not-found' })
        await expect(harness.snapshotter.prepare('two', { parent: 'one' })).rejects.toMatchObject({ kind: 'invalid-argument' })
        await expect(harness.snapshotter.prepare('two', { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
        expect(await names()).toEqual(['base', 'one'])
      })
    })

    it('mounts committed snapshots read-only', async () => {
      await harness.snapshotter.apply('base', await base())
      await harness.snapshotter.apply('top', await layer([{ name: 'top' }]), { parent: 'base' })
      await harness.snapshotter.prepare('one', { parent: 'top' })
      for (const key of ['base', 'top']) for (const mount of await harness.snapshotter.mounts(key)) expect(mount.options).toContain('ro')
      for (const mount of await harness.snapshotter.mounts('one')) expect(mount.options).not.toContain('ro')
    })

    it('counts what a snapshot takes without its parents', async () => {
      await harness.snapshotter.apply('base', await layer([{ name: 'big', content: randomBytes(300_000) }]))
      await harness.snapshotter.prepare('one', { parent: 'base' })
      const empty = await harness.snapshotter.usage('one')
      expect((await harness.snapshotter.usage('base')).bytes).toBeGreaterThanOrEqual(300_000)
      expect(empty.bytes).toBeLessThan(100_000)
      await harness.write('one', 'more', 'x'.repeat(200_000))
      const filled = await harness.snapshotter.usage('one')
      expect(filled.bytes - empty.bytes).toBeGreaterThanOrEqual(200_000)
      expect(filled.inodes - empty.inodes).toBe(1)
    })

    it('tells changes as a layer that makes the same again', async () => {
      await harness.snapshotter.apply('base', await base())
      await harness.snapshotter.prepare('one', { parent: 'base' })
      await harness.write('one', 'etc/hosts', 'mine')
      await harness.write('one', 'etc/passwd', undefined)
      await harness.write('one', 'bin', undefined)
      await harness.write('one', 'bin/other', 'in a new directory of an old name')
      await harness.write('one', 'var/lib/x', 'x')
      const tar = await collect('one')
      expect((await collect('one')).equals(tar)).toBe(true)
      await harness.snapshotter.apply('again', await blob(tar, digestOf(tar)), { parent: 'base' })
      expect(await harness.read('again')).toEqual(await harness.read('one'))
      expect(await harness.read('again')).toEqual({
        'etc/': '', 'etc/hosts': 'mine', 'bin/': '', 'bin/other': 'in a new directory of an old name', 'var/': '', 'var/lib/': '', 'var/lib/x': 'x',
      })
    })

    it('tells changes by name, as docker diff does', async () => {
      await harness.snapshotter.apply('base', await layer([
        { name: 'etc/' }, { name: 'etc/hosts', content: 'localhost' }, { name: 'etc/passwd', content: 'root' }, { name: 'etc/deep/' }, { name: 'etc/deep/file', content: '1' },
        { name: 'bin/' }, { name: 'bin/sh', content: 'shell' }, { name: 'usr/' }, { name: 'usr/file', content: 'same' },
      ]))
      await harness.snapshotter.apply('middle', await layer([{ name: 'etc/passwd', content: 'root and more' }, { name: 'srv/' }, { name: 'srv/data', content: 'x' }]), { parent: 'base' })
      await harness.snapshotter.prepare('one', { parent: 'middle' })
      expect(await changesIn('one')).toEqual([])
      await harness.write('one', 'etc/deep/file', '22')
      await harness.write('one', 'etc/passwd', undefined)
      await harness.write('one', 'bin', undefined)
      await harness.write('one', 'srv', undefined)
      await harness.write('one', 'srv/other', 'in a new directory of an old name')
      await harness.write('one', 'etc-new/lib/x', 'x')
      expect(await changesIn('one')).toEqual([
        'deleted /bin', 'modified /etc', 'modified /etc/deep', 'modified /etc/deep/file', 'deleted /etc/passwd', 'added /etc-new', 'added /etc-new/lib', 'added /etc-new/lib/x',
        'modified /srv', 'deleted /srv/data', 'added /srv/other',
      ].toSorted(byPath))
      expect(await changesIn('middle')).toEqual(['modified /etc', 'modified /etc/passwd', 'added /srv', 'added /srv/data'])
      expect(await changesIn('base')).toHaveLength(9)
      await expect(changesIn('missing')).rejects.toMatchObject({ kind: 'not-found' })
    })

    it('tells a committed layer again', async () => {
      await harness.snapshotter.apply('base', await base())
      await harness.snapshotter.apply('top', await layer([{ name: '.wh.bin' }, { name: 'large', content: randomBytes(700_001) }]), { parent: 'base' })
      const tar = await collect('top')
      await harness.snapshotter.apply('again', await blob(tar, digestOf(tar)), { parent: 'base' })
      expect(await harness.read('again')).toEqual(await harness.read('top'))
    })

    it('lets go of a diff that nobody reads to its end', async () => {
      await harness.snapshotter.apply('base', await layer([{ name: 'large', content: randomBytes(3_000_000) }]))
      for await (const chunk of harness.snapshotter.diff('base')) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
      await expect(collect('base', { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
      await harness.snapshotter.remove('base')
      expect(await names()).toEqual([])
    })

    it('removes only what nothing stands on', async () => {
      await harness.snapshotter.apply('base', await base())
      await harness.snapshotter.prepare('one', { parent: 'base' })
      await expect(harness.snapshotter.remove('base')).rejects.toMatchObject({ kind: 'conflict' })
      expect(await harness.read('one')).toEqual(baseView)
      await harness.snapshotter.remove('one')
      await harness.snapshotter.remove('base')
      expect(await names()).toEqual([])
      await harness.snapshotter.prepare('one')
      expect(await harness.read('one')).toEqual({})
    })

    it('says that it does not know a name', async () => {
      const { snapshotter } = harness
      await expect(snapshotter.stat('missing')).rejects.toMatchObject({ kind: 'not-found' })
      await expect(snapshotter.mounts('missing')).rejects.toMatchObject({ kind: 'not-found' })
      await expect(snapshotter.usage('missing')).rejects.toMatchObject({ kind: 'not-found' })
      await expect(snapshotter.remove('missing')).rejects.toMatchObject({ kind: 'not-found' })
      await expect(collect('missing')).rejects.toMatchObject({ kind: 'not-found' })
    })

    it('makes what a loss of power took again, beneath what stands on it', async () => {
      const [bottom, upper] = [await base(), await layer([{ name: 'top', content: 'x' }])]
      await harness.snapshotter.apply('base', bottom)
      await harness.snapshotter.apply('top', upper, { parent: 'base' })
      await harness.snapshotter.apply('alone', bottom)
      await harness.snapshotter.prepare('one', { parent: 'top' })
      await harness.write('one', 'file', 'kept')
      await harness.losePower()
      for (const key of ['base', 'top', 'alone']) await expect(harness.snapshotter.stat(key)).rejects.toMatchObject({ kind: 'not-found' })
      expect(await names()).toEqual(['one'])
      expect(await harness.snapshotter.stat('one')).toMatchObject({ kind: 'active', parent: 'top' })
      await expect(harness.snapshotter.mounts('one')).rejects.toMatchObject({ kind: 'unavailable' })
      await expect(harness.snapshotter.prepare('two', { parent: 'top' })).rejects.toMatchObject({ kind: 'not-found' })
      await expect(harness.snapshotter.apply('top', upper, { parent: 'base' })).rejects.toMatchObject({ kind: 'not-found' })
      await expect(harness.snapshotter.apply('base', { ...bottom, diffId: digestOf('other') })).rejects.toMatchObject({ kind: 'data-loss' })
      await expect(harness.snapshotter.stat('base')).rejects.toMatchObject({ kind: 'not-found' })
      await Promise.all([harness.snapshotter.apply('base', bottom), harness.snapshotter.apply('top', upper, { parent: 'base' })])
      expect(await harness.read('one')).toEqual({ ...baseView, top: 'x', file: 'kept' })
      await harness.snapshotter.remove('one')
      await harness.snapshotter.remove('top')
      await harness.snapshotter.remove('base')
      expect(await names()).toEqual([])
    })

    it('lets go of what a loss of power took and nobody makes again', async () => {
      await harness.snapshotter.apply('base', await base())
      await harness.snapshotter.prepare('one', { parent: 'base' })
      await harness.losePower()
      await harness.snapshotter.remove('one')
      await harness.restart()
      expect(await names()).toEqual([])
    })

    it('knows everything again after a restart', async () => {
      await harness.snapshotter.apply('base', await base())
      await harness.snapshotter.prepare('one', { parent: 'base' })
      await harness.write('one', 'file', 'kept')
      const before = await harness.snapshotter.list()
      await harness.restart()
      expect(await harness.snapshotter.list()).toEqual(before)
      expect(await harness.read('one')).toEqual({ ...baseView, file: 'kept' })
    })
  })
}

/** The order of names, level by level. */
function byPath(left: string, right: string): number {
  const [first, second] = [left, right].map((change) => change.slice(change.indexOf('/')).replaceAll('/', '\0')) as [string, string]
  return first < second ? -1 : 1
}
