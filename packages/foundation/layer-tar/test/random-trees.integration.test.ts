import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkerCalls } from '@berth/core'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { ConfinedJobs } from './confined-worker.ts'
import { picture, plant, type TreeOptions, trees } from './trees.ts'

const thread = new WorkerCalls<ConfinedJobs>(new URL('./confined-worker.ts', import.meta.url))
afterAll(() => thread.end())

const numRuns = 3
const treesAtOnce = 4

/** Runs `check` with random trees in a directory, a directory that is empty, and a path for an archive. */
async function onTrees(options: TreeOptions, check: (source: string, target: string, archive: string) => Promise<void>) {
  await fc.assert(
    fc.asyncProperty(fc.array(trees(options), { minLength: treesAtOnce, maxLength: treesAtOnce }), async (several) => {
      const scratch = mkdtempSync(join(tmpdir(), 'berth-tree-'))
      try {
        const [source, target] = [join(scratch, 'source'), join(scratch, 'target')]
        mkdirSync(source)
        mkdirSync(target)
        // One after the other in an archive, so that a program is run once for all.
        for (const [index, tree] of several.entries()) {
          const directory = join(source, String(index))
          mkdirSync(directory)
          plant(directory, tree)
          utimesSync(directory, index, index)
        }
        await check(source, target, join(scratch, 'archive.tar'))
      } finally {
        rmSync(scratch, { recursive: true })
      }
    }),
    { numRuns },
  )
}

const attributes = ['--xattrs', '--xattrs-include=*']
const extract = (archive: string, target: string) => thread.call('extract', target, readFileSync(archive), { whiteouts: 'none' })

describe('a random tree', () => {
  it('is the same archive again when it was packed, unpacked and packed', async () => {
    await onTrees({ whiteouts: true, acls: true, holes: true }, async (source, target) => {
      const tar = await thread.call('pack', source, { whiteouts: 'overlay' })
      await thread.call('extract', target, tar, { whiteouts: 'overlay' }, 1000)
      expect(picture(target)).toEqual(picture(source))
      expect(Buffer.from(await thread.call('pack', target, { whiteouts: 'overlay' })).equals(tar)).toBe(true)
    })
  })

  it('is unpacked by GNU tar as it was when we packed it', async () => {
    await onTrees({}, async (source, target, archive) => {
      writeFileSync(archive, await thread.call('pack', source, { whiteouts: 'none' }))
      execFileSync('tar', [...attributes, '--numeric-owner', '--delay-directory-restore', '-C', target, '-xpf', archive], { stdio: 'pipe' })
      expect(picture(target)).toEqual(picture(source))
    })
  })

  it.each<[string, string[], TreeOptions]>([
    ['gnu', [], { modest: true, xattrs: false }],
    ['pax', attributes, {}],
    ['ustar', [], { modest: true, xattrs: false, longest: 20, longestTarget: 100 }],
    ['v7', [], { modest: true, xattrs: false, longest: 8, longestTarget: 100, devices: false }],
  ])("is unpacked by us as it was when GNU tar packed it in its format %s", async (format, more, options) => {
    await onTrees(options, async (source, target, archive) => {
      execFileSync('tar', [`--format=${format}`, ...more, '--numeric-owner', '-C', source, '-cf', archive, '.'], { stdio: 'pipe' })
      await extract(archive, target)
      expect(picture(target)).toEqual(picture(source))
    })
  })

  it.each([
    ['gnu', []],
    ['pax', ['--sparse-version=0.0']],
    ['pax', ['--sparse-version=0.1']],
    ['pax', ['--sparse-version=1.0']],
  ])('keeps its holes in the format %s %s', async (format, more) => {
    await onTrees({ modest: true, xattrs: false, holes: true, devices: false }, async (source, target, archive) => {
      execFileSync('tar', [`--format=${format}`, ...more, '--sparse', '--numeric-owner', '-C', source, '-cf', archive, '.'], { stdio: 'pipe' })
      await extract(archive, target)
      expect(picture(target)).toEqual(picture(source))
    })
  })
}, 60_000)
