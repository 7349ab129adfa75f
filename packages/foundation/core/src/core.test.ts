import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { BerthError, formatNano, isErrno, isKind, KeyedMutex, kindOf, messageOf, newId, nowNano, openRecords, RecordsLog, shortId, SingleFlight, transact } from './index.ts'

describe('errors', () => {
  it('have a kind, whatever was thrown', () => {
    expect(kindOf(new BerthError('conflict', 'X', 'taken'))).toBe('conflict')
    expect(kindOf(new DOMException('gone', 'AbortError'))).toBe('cancelled')
    expect(kindOf(new DOMException('late', 'TimeoutError'))).toBe('deadline-exceeded')
    expect(kindOf('text')).toBe('internal')
    expect(isKind(new BerthError('conflict', 'X', 'taken'), 'not-found', 'conflict')).toBe(true)
    expect([messageOf(new Error('words')), messageOf(7)]).toEqual(['words', '7'])
  })

  it('keep what was underneath', () => {
    const cause = new Error('disk')
    expect(new BerthError('internal', 'X', 'failed', { cause, hint: 'Look.' })).toMatchObject({ name: 'BerthError', code: 'X', cause, hint: 'Look.' })
  })

  it('of the system are told by their code', () => {
    let error: unknown
    try {
      statSync('/no/such/file')
    } catch (thrown) {
      error = thrown
    }
    expect(isErrno(error, 'EACCES', 'ENOENT')).toBe(true)
    expect(isErrno(error, 'EACCES')).toBe(false)
    expect(isErrno('ENOENT', 'ENOENT')).toBe(false)
  })
})

it('times have nanoseconds, in UTC', () => {
  expect(formatNano(1_700_000_000_000_000_001n)).toBe('2023-11-14T22:13:20.000000001Z')
  expect(Math.abs(Number(nowNano() / 1_000_000n) - Date.now())).toBeLessThan(1000)
})

it('ids are long and never look like a number', () => {
  const ids = Array.from({ length: 500 }, newId)
  expect(new Set(ids).size).toBe(500)
  for (const id of ids) expect(id).toMatch(/^(?!\d{12})[0-9a-f]{64}$/)
  expect(shortId('0123456789abcdef')).toBe('0123456789ab')
})

describe('KeyedMutex', () => {
  it('runs one after the other on a key, and not across keys', async () => {
    const mutex = new KeyedMutex()
    const order: string[] = []
    const gate = Promise.withResolvers<void>()
    const first = mutex.run('a', async () => {
      await gate.promise
      order.push('a1')
    })
    const second = mutex.run('a', async () => void order.push('a2'))
    await mutex.run('b', async () => void order.push('b'))
    gate.resolve()
    await Promise.all([first, second])
    expect(order).toEqual(['b', 'a1', 'a2'])
  })

  it('goes on after a failure', async () => {
    const mutex = new KeyedMutex()
    const failed = mutex.run('a', () => Promise.reject(new Error('no')))
    expect(await mutex.run('a', async () => 'yes')).toBe('yes')
    await expect(failed).rejects.toThrow('no')
  })
})

it('SingleFlight shares work while it is under way, and no longer', async () => {
  const flights = new SingleFlight<number>()
  let runs = 0
  const work = async () => ++runs
  expect(await Promise.all([flights.run('a', work), flights.run('a', work)])).toEqual([1, 1])
  expect(await flights.run('a', work)).toBe(2)
})

describe('records', () => {
  it('are migrated once, and kept', () => {
    const root = mkdtempSync(join(tmpdir(), 'core-'))
    try {
      const path = join(root, 'own/records.db')
      const first = ['CREATE TABLE things (name TEXT) STRICT']
      openRecords({ path, migrations: first }).exec("INSERT INTO things VALUES ('one')")
      expect(statSync(join(root, 'own')).mode & 0o777).toBe(0o700)
      const db = openRecords({ path, migrations: [...first, 'ALTER TABLE things ADD COLUMN size INTEGER'] })
      expect(db.prepare('SELECT * FROM things').all()).toMatchObject([{ name: 'one', size: null }])
      db.close()
    } finally {
      rmSync(root, { recursive: true })
    }
  })

  it('are synced beside the event loop, in one turn for all that come while the disk is busy', async () => {
    const root = mkdtempSync(join(tmpdir(), 'core-'))
    const path = join(root, 'records.db')
    const db = openRecords({ path, migrations: ['CREATE TABLE things (name TEXT) STRICT'] })
    const log = new RecordsLog(path)
    const handle = await open(path)
    const sync = vi.spyOn(Object.getPrototypeOf(handle) as FileHandle, 'sync')
    try {
      await Promise.all([log.sync(), log.sync(), log.sync()])
      expect(sync).toHaveBeenCalledTimes(2)
      await log.sync()
      expect(sync).toHaveBeenCalledTimes(3)
      sync.mockRejectedValueOnce(new Error('EIO'))
      await expect(log.sync()).rejects.toThrow('EIO')
      await log.sync()
    } finally {
      sync.mockRestore()
      await handle.close()
      log[Symbol.dispose]()
      db.close()
      rmSync(root, { recursive: true })
    }
  })

  it('change all together or not at all', () => {
    const db = openRecords({ path: ':memory:', migrations: ['CREATE TABLE things (name TEXT) STRICT'] })
    const failing = () =>
      transact(db, () => {
        db.exec("INSERT INTO things VALUES ('half')")
        throw new Error('no')
      })
    expect(failing).toThrow('no')
    expect(transact(db, () => 7)).toBe(7)
    expect(db.prepare('SELECT * FROM things').all()).toEqual([])
    db.close()
  })
})
