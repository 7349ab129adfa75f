import { StatementSync } from 'node:sqlite'
import { tarOf } from '@berth/layer-tar'
import { describe, expect, test, vi } from 'vitest'
import type { ContainerRuntimeDependencies } from '../src/index.ts'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

const never = new AbortController().signal
const simple = { pause: true, changes: [], signal: never }
type Change = { path: string; kind: 'modified' | 'added' | 'deleted' }

/** An engine whose containers have changed this. */
const changed = (changes: Change[], layer: () => AsyncIterable<Uint8Array> = oneLayer, imageConfig: object = {}) =>
  fakeEngine(imageConfig, ({ snapshotter }) => ({
    snapshotter: {
      ...(snapshotter as object),
      prepare: snapshotter.prepare.bind(snapshotter),
      mounts: snapshotter.mounts.bind(snapshotter),
      remove: snapshotter.remove.bind(snapshotter),
      changes: async function* () {
        yield* changes
      },
      diff: layer,
    } as unknown as ContainerRuntimeDependencies['snapshotter'],
  }))

async function* oneLayer() {
  yield tarOf([{ name: 'etc/hosts' }, { name: 'file', content: 'x' }])
}

async function make(engine: FakeEngine, { start = false, config = {} }: { start?: boolean; config?: object } = {}) {
  const { containers } = engine.runtime
  const { Id } = await containers.create('one', { Image: 'busybox', Cmd: ['serve', 'it'], Labels: { a: 'b' }, ...config }, {})
  if (start) await containers.start(Id)
  return Id
}

const actions = (engine: FakeEngine) => engine.events.map(({ action }) => action)

describe('changes', () => {
  const shown = async (changes: Change[]) => {
    await using engine = await changed(changes)
    await make(engine)
    return engine.runtime.containers.changes('one', {})
  }

  test('are told in numbers', async () => {
    expect(await shown([{ path: '/a', kind: 'added' }, { path: '/bin', kind: 'modified' }, { path: '/bin/ls', kind: 'deleted' }])).toEqual([
      { Path: '/a', Kind: 1 },
      { Path: '/bin', Kind: 0 },
      { Path: '/bin/ls', Kind: 2 },
    ])
  })

  test('are told without what a start makes for the engine, as Docker does', async () => {
    expect(await shown([
      { path: '/dev', kind: 'added' },
      { path: '/etc', kind: 'modified' },
      { path: '/etc/hostname', kind: 'added' },
      { path: '/etc/hosts', kind: 'modified' },
      { path: '/etc/resolv.conf', kind: 'added' },
      { path: '/proc', kind: 'added' },
      { path: '/proc/e', kind: 'added' },
      { path: '/sys', kind: 'added' },
      { path: '/vol', kind: 'added' },
    ])).toEqual([{ Path: '/proc', Kind: 0 }, { Path: '/proc/e', Kind: 1 }, { Path: '/vol', Kind: 1 }])
    expect(await shown([{ path: '/etc', kind: 'modified' }, { path: '/etc/hosts', kind: 'added' }, { path: '/etc/x', kind: 'added' }])).toEqual([
      { Path: '/etc', Kind: 0 },
      { Path: '/etc/x', Kind: 1 },
    ])
    expect(await shown([{ path: '/etc', kind: 'deleted' }])).toEqual([{ Path: '/etc', Kind: 2 }])
  })
})

describe('commit', () => {
  test('makes an image of the layer and the config', async () => {
    await using engine = await changed([], oneLayer, { Env: ['PATH=/bin'], Entrypoint: null, ExposedPorts: { '80/tcp': {} } })
    const id = await make(engine)
    const answer = await engine.runtime.containers.commit('one', { ...simple, repo: 'docker.io/library/mine', tag: 'v1', comment: 'why', author: 'me', changes: ['CMD x'] })
    expect(answer).toEqual({ Id: 'sha256:c1' })
    const [commit] = engine.world.commits
    expect(commit).toMatchObject({ parent: 'sha256:a', repo: 'docker.io/library/mine', tag: 'v1', comment: 'why', author: 'me', changes: ['CMD x'], createdBy: 'serve it', container: id })
    expect(commit?.config).toMatchObject({ Cmd: ['serve', 'it'], Env: ['PATH=/bin'], Labels: { a: 'b' }, ExposedPorts: { '80/tcp': {} }, Hostname: id.slice(0, 12) })
    expect(Object.values(commit?.config ?? {})).not.toContain(null)
    expect(commit?.layer.equals(tarOf([{ name: 'file', content: 'x' }]))).toBe(true)
    expect(engine.events.at(-1)).toMatchObject({ action: 'commit', id, attributes: { comment: 'why', imageID: 'sha256:c1', imageRef: 'mine:v1' } })
  })

  test("a request's config wins over the container's", async () => {
    await using engine = await changed([])
    await make(engine, { config: { Env: ['A=1', 'B=2'], WorkingDir: '/w' } })
    await engine.runtime.containers.commit('one', { ...simple, config: { Env: ['A=3'], Cmd: ['other'], User: 'web' } })
    expect(engine.world.commits[0]?.config).toMatchObject({ Cmd: ['other'], User: 'web', WorkingDir: '/w', Env: ['A=3', 'B=2'], Labels: { a: 'b' } })
  })

  test('the processes stand still meanwhile, if that is wanted', async () => {
    const seen: (string | undefined)[] = []
    const status = async () => (await engine.runtime.containers.inspect('one', { size: false })).State?.Status
    const engine = await changed([], async function* () {
      seen.push(await status())
      yield* oneLayer()
    })
    await using _ = engine
    await make(engine, { start: true })
    await engine.runtime.containers.commit('one', simple)
    expect(await status()).toBe('running')
    await engine.runtime.containers.commit('one', { ...simple, pause: false })
    await engine.runtime.containers.pause('one')
    await engine.runtime.containers.commit('one', simple)
    expect(seen).toEqual(['paused', 'running', 'paused'])
    // Who paused it lets it go on.
    expect(await status()).toBe('paused')
    expect(actions(engine)).toEqual(['create', 'start', 'pause', 'commit', 'unpause', 'commit', 'pause', 'commit'])
  })

  test.each(['a failure', 'an abort'])('they go on after %s', async (what) => {
    const control = new AbortController()
    const engine = await changed([], async function* () {
      if (what === 'an abort') control.abort()
      control.signal.throwIfAborted()
      yield* oneLayer()
    })
    await using _ = engine
    await make(engine, { start: true })
    if (what === 'a failure') engine.faults.set('commit', () => Promise.reject(new Error('no space')))
    const made = engine.runtime.containers.commit('one', { ...simple, signal: control.signal })
    await expect(made).rejects.toMatchObject(what === 'a failure' ? { message: 'no space' } : { name: 'AbortError' })
    expect((await engine.runtime.containers.inspect('one', { size: false })).State?.Status).toBe('running')
    expect(engine.events.map(({ action }) => action)).not.toContain('commit')
  })

  test('on a full disk they go on too', async () => {
    await using engine = await changed([], oneLayer)
    await make(engine, { start: true })
    engine.faults.set('commit', () => Promise.reject(new Error('no space')))
    const recording = vi.spyOn(StatementSync.prototype, 'run').mockImplementation(() => {
      throw new Error('database or disk is full')
    })
    try {
      await expect(engine.runtime.containers.commit('one', simple)).rejects.toThrow('no space')
      // Pausing and going on, each its intent and its outcome.
      expect(recording).toHaveBeenCalledTimes(4)
    } finally {
      recording.mockRestore()
    }
    expect((await engine.runtime.containers.inspect('one', { size: false })).State?.Status).toBe('running')
  })

  test('the container may end meanwhile', async () => {
    const engine = await changed([], async function* () {
      await engine.runtime.containers.kill('one', {})
      yield* oneLayer()
    })
    await using _ = engine
    await make(engine, { start: true })
    await engine.runtime.containers.commit('one', simple)
    expect((await engine.runtime.containers.inspect('one', { size: false })).State?.Status).toBe('exited')
  })
})
