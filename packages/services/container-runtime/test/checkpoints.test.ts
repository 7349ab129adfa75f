import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BerthError } from '@berth/core'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

describe('checkpoints', () => {
  let engine: FakeEngine
  let directory: string

  beforeEach(async () => {
    engine = await fakeEngine()
    directory = mkdtempSync(join(tmpdir(), 'checkpoints-'))
    await engine.runtime.containers.create('one', { Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: { RestartPolicy: { Name: 'unless-stopped' } } }, {})
    await engine.runtime.containers.start('one')
  })
  afterEach(async () => {
    await engine[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  const state = async () => (await engine.runtime.containers.inspect('one', { size: false })).State!

  it('end a container that goes on from one later', async () => {
    const { checkpoints } = engine.runtime
    await checkpoints.create('one', { id: 'first', exit: true })
    // Its restart policy does not undo this.
    expect(await state()).toMatchObject({ Status: 'exited', ExitCode: 137 })
    expect(engine.events.map(({ action }) => action)).toContain('checkpoint')
    expect(await checkpoints.list('one')).toEqual([{ Name: 'first' }])
    await engine.restart()
    await engine.runtime.containers.start('one', { checkpoint: 'first' })
    expect((await state()).Running).toBe(true)
    await expect(engine.runtime.containers.start('one', { checkpoint: 'first' })).rejects.toMatchObject({ kind: 'not-modified' })
  })

  it('let a container go on, in a directory that is given', async () => {
    const { checkpoints } = engine.runtime
    await checkpoints.create('one', { id: 'first', dir: directory, exit: false })
    expect((await state()).Running).toBe(true)
    expect(existsSync(join(directory, 'first', 'config.json'))).toBe(true)
    expect(await checkpoints.list('one')).toEqual([])
    expect(await checkpoints.list('one', { dir: directory })).toEqual([{ Name: 'first' }])
    await checkpoints.remove('one', 'first', { dir: directory })
    expect(readdirSync(directory)).toEqual([])
  })

  it.each(['..', '.', '', '../two', 'a/b', '/tmp/x', 'a\0b', '.hidden', '-first'])('have no name that leads out of their directory (`..` in checkpoint names): %j', async (id) => {
    const { containers, checkpoints } = engine.runtime
    const refused = { kind: 'invalid-argument', code: 'CHECKPOINT_ID_INVALID' }
    await expect(checkpoints.create('one', { id, dir: directory, exit: false })).rejects.toMatchObject(refused)
    await expect(checkpoints.remove('one', id, { dir: directory })).rejects.toMatchObject(refused)
    // An empty name is none.
    const outcome = containers.start('one', { checkpoint: id, checkpointDir: directory })
    await expect(outcome).rejects.toMatchObject(id === '' ? { kind: 'not-modified' } : refused)
    expect(readdirSync(directory)).toEqual([])
  })

  it('are refused: a name that is taken or unknown, a container that does not run or has a terminal, a directory that is relative', async () => {
    const { containers, checkpoints } = engine.runtime
    await checkpoints.create('one', { id: 'first', exit: false })
    await expect(checkpoints.create('one', { id: 'first', exit: false })).rejects.toMatchObject({ kind: 'conflict', message: 'checkpoint with name first already exists for container one' })
    await expect(checkpoints.remove('one', 'second')).rejects.toMatchObject({ kind: 'not-found', message: 'checkpoint second does not exist for container one' })
    await expect(checkpoints.create('one', { id: 'third', dir: 'here', exit: false })).rejects.toMatchObject({ kind: 'invalid-argument' })
    await containers.stop('one', {})
    await expect(checkpoints.create('one', { id: 'third', exit: false })).rejects.toMatchObject({ kind: 'conflict' })
    await expect(containers.start('one', { checkpoint: 'second' })).rejects.toMatchObject({ kind: 'not-found' })
    await containers.create('tty', { Image: 'busybox', Cmd: ['sleep', '1000'], Tty: true }, {})
    await containers.start('tty')
    await expect(checkpoints.create('tty', { id: 'third', exit: false })).rejects.toMatchObject({ message: 'checkpoint not support on containers with tty' })
  })

  it('leave nothing when they fail, and the restart policy as it was', async () => {
    engine.faults.set('checkpoint', () => {
      throw new BerthError('unavailable', 'CRIU_MISSING', 'checkpoints need criu, which is not installed')
    })
    const failure = { kind: 'unavailable', message: 'Cannot checkpoint container one: checkpoints need criu, which is not installed' }
    await expect(engine.runtime.checkpoints.create('one', { id: 'first', dir: directory, exit: true })).rejects.toMatchObject(failure)
    expect(readdirSync(directory)).toEqual([])
    expect((await state()).Running).toBe(true)
    const died = engine.event('start', 2)
    const [task] = engine.world.tasks.tasks.values()
    task!.init.end(1)
    await died
  })
})
