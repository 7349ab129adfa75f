import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { VolumeDriver } from './index.ts'

export interface VolumeDriverHarness {
  /** A driver over the same state each time it is called within one test. */
  open(): Promise<VolumeDriver>
  /** Removes what is left of the state. */
  close(): Promise<void>
}

/** The suite that every volume driver passes; one that is not `persistent` is not asked for what it had before a crash. */
export function describeVolumeDriver(name: string, makeHarness: () => Promise<VolumeDriverHarness>, { persistent = true } = {}): void {
  describe(`volume driver contract: ${name}`, () => {
    let harness: VolumeDriverHarness
    let driver: VolumeDriver
    beforeEach(async () => {
      harness = await makeHarness()
      driver = await harness.open()
    })
    afterEach(() => harness.close())

    it('keeps files from one mount to the next', async () => {
      await driver.create({ name: 'data', options: {} })
      const path = await driver.mount('data', 'one')
      writeFileSync(join(path, 'file'), 'kept')
      await driver.unmount('data', 'one')
      expect(readFileSync(join(await driver.mount('data', 'other'), 'file'), 'utf8')).toBe('kept')
    })

    it('gives every user of a volume the same files', async () => {
      await driver.create({ name: 'data', options: {} })
      const [one, other] = [await driver.mount('data', 'one'), await driver.mount('data', 'other')]
      writeFileSync(join(one, 'file'), 'shared')
      expect(readFileSync(join(other, 'file'), 'utf8')).toBe('shared')
    })

    it('may be asked again for what is done already', async () => {
      await driver.create({ name: 'data', options: {} })
      await driver.create({ name: 'data', options: {} })
      expect(await driver.mount('data', 'one')).toBe(await driver.mount('data', 'one'))
      await driver.unmount('data', 'one')
      await driver.unmount('data', 'one')
      await driver.remove('data')
      await driver.remove('data')
      await driver.unmount('data', 'one')
    })

    it('lists what was made and forgets what was removed', async () => {
      await driver.create({ name: 'a', options: {} })
      await driver.create({ name: 'b', options: {} })
      expect((await driver.list()).map((volume) => volume.name).toSorted()).toEqual(['a', 'b'])
      const { mountpoint } = (await driver.get('a')) ?? { mountpoint: '' }
      await driver.remove('a')
      expect(await driver.get('a')).toBeUndefined()
      expect((await driver.list()).map((volume) => volume.name)).toEqual(['b'])
      expect(existsSync(mountpoint)).toBe(false)
    })

    it('refuses an unknown option by its name, and makes nothing', async () => {
      await expect(driver.create({ name: 'data', options: { nonsense: '1' } })).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining('nonsense') })
      expect(await driver.get('data')).toBeUndefined()
    })

    it('refuses to mount what does not exist', async () => {
      await expect(driver.mount('none', 'one')).rejects.toMatchObject({ kind: 'not-found' })
    })

    it('refuses to remove what is mounted', async () => {
      await driver.create({ name: 'data', options: {} })
      await driver.mount('data', 'one')
      await expect(driver.remove('data')).rejects.toMatchObject({ kind: 'conflict' })
      await driver.unmount('data', 'one')
      await driver.remove('data')
    })

    if (!persistent) return
    it('knows its volumes after a crash', async () => {
      await driver.create({ name: 'data', options: {} })
      writeFileSync(join(await driver.mount('data', 'one'), 'file'), 'kept')
      const again = await harness.open()
      expect((await again.list()).map((volume) => volume.name)).toEqual(['data'])
      expect(readFileSync(join(await again.mount('data', 'one'), 'file'), 'utf8')).toBe('kept')
    })
  })
}
