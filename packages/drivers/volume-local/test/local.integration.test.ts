import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readMountInfo } from '@berth/linux'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { localVolumes } from '../src/index.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'volume-local-'))
})
afterEach(() => {
  if (readMountInfo().some(({ mountPoint }) => mountPoint.startsWith(root))) throw new Error('a mount was left behind')
  rmSync(root, { recursive: true })
})

it('mounts what the options say for the first user, and lets go with the last', async () => {
  using driver = localVolumes({ root })
  await driver.create({ name: 'scratch', options: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,mode=700' } })
  const path = await driver.mount('scratch', 'one')
  await driver.mount('scratch', 'other')
  expect(readMountInfo().filter(({ mountPoint }) => mountPoint === path)).toMatchObject([{ type: 'tmpfs' }])
  await driver.unmount('scratch', 'one')
  expect(readMountInfo().some(({ mountPoint }) => mountPoint === path)).toBe(true)
  await driver.unmount('scratch', 'other')
  expect(readMountInfo().some(({ mountPoint }) => mountPoint === path)).toBe(false)
  await driver.remove('scratch')
})

it('says what the kernel refused, without the options, which may hold a password', async () => {
  using driver = localVolumes({ root })
  await driver.create({ name: 'wrong', options: { type: 'nonsense', device: 'x', o: 'password=secret' } })
  await expect(driver.mount('wrong', 'one')).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.not.stringContaining('secret') })
  await driver.remove('wrong')
})

it.each(['..', '.', '../x', 'a/b', '', 'a\0b', '-x', 'x'.repeat(300)])('takes no name that is not one: %j', async (name) => {
  using driver = localVolumes({ root })
  await expect(driver.create({ name, options: {} })).rejects.toMatchObject({ kind: 'invalid-argument' })
  expect(readdirSync(root).filter((entry) => !entry.startsWith('volumes.db'))).toEqual([])
})

it('removes at its start what a crash left half made', async () => {
  mkdirSync(join(root, 'half/_data'), { recursive: true })
  using driver = localVolumes({ root })
  expect(existsSync(join(root, 'half'))).toBe(false)
  await driver.create({ name: 'data', options: {} })
  expect((statSync(await driver.mount('data', 'x')).mode & 0o777).toString(8)).toBe('755')
})
