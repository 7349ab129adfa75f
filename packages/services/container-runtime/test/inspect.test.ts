import { expect, test } from 'vitest'
import { startError } from '../src/life/start-error.ts'
import { BerthError } from '@berth/core'
import { fakeEngine } from './fake-engine.ts'

test('inspect has every member that clients read without looking', async () => {
  await using engine = await fakeEngine()
  await engine.runtime.containers.create('c1', { Image: 'busybox', Cmd: ['true'], HostConfig: { Memory: 64 << 20 } }, {})
  const { Config, HostConfig, ...rest } = await engine.runtime.containers.inspect('c1', { size: false })
  expect(Config).toMatchObject({ Tty: false, OpenStdin: false, Env: [], Entrypoint: null, Volumes: {}, Labels: {}, Image: 'busybox', Cmd: ['true'] })
  expect(HostConfig).toMatchObject({
    Memory: 64 << 20, NetworkMode: 'bridge', Privileged: false, CapAdd: null, Binds: null, PidsLimit: null, IpcMode: 'private', ShmSize: 64 << 20,
    RestartPolicy: { Name: 'no', MaximumRetryCount: 0 }, LogConfig: { Type: 'memory', Config: {} }, MaskedPaths: expect.arrayContaining(['/proc/kcore']) as string[],
  }) // prettier-ignore
  expect(rest).toMatchObject({ ExecIDs: null, Name: '/c1', RestartCount: 0, Driver: 'memory', Platform: 'linux', Mounts: [], MountLabel: '', AppArmorProfile: '' })
  expect(rest.State).toMatchObject({ Status: 'created', OOMKilled: false, Dead: false, Pid: 0, Error: '' })
})

test('a list shows what does not run when it is asked for, or for its state', async () => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  for (const name of ['one', 'two']) await containers.create(name, { Image: 'busybox', Cmd: ['true'] }, {})
  const names = async (all: boolean, filters: Record<string, string[]>) =>
    (await containers.list({ all, size: false, filters: new Map(Object.entries(filters)) })).flatMap(({ Names }) => Names)
  expect(await names(false, {})).toEqual([])
  expect(await names(false, { before: ['two'] })).toEqual([])
  expect(await names(true, { before: ['two'] })).toEqual(['/one'])
  expect(await names(true, { since: ['one'] })).toEqual(['/two'])
  expect(await names(false, { status: ['created'] })).toEqual(['/two', '/one'])
  expect(await names(true, { status: ['exited'] })).toEqual([])
  expect(await names(true, { publish: ['8080'] })).toEqual(['/two', '/one'])
  expect(await names(true, { publish: ['8080/udp'] })).toEqual([])
  await expect(names(true, { nonsense: ['x'] })).rejects.toMatchObject({ kind: 'invalid-argument', message: "invalid filter 'nonsense'" })
})

const prefix = 'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: '

test('a list shows the image by its ID when its name is that of another', async () => {
  await using engine = await fakeEngine()
  const { containers } = engine.runtime
  await containers.create('one', { Image: 'first', Cmd: ['true'] }, {})
  const shown = async () => (await containers.list({ all: true, size: false, filters: new Map() })).map(({ Image, ImageID }) => [Image, ImageID])
  expect(await shown()).toEqual([['first', 'sha256:a']])
  engine.world.images.set('first', 'sha256:c')
  expect(await shown()).toEqual([['sha256:a', 'sha256:a']])
})

test.each([
  ['not-found', 'exec: "x": executable file not found in $PATH: unknown', 'invalid-argument'],
  ['permission-denied', 'exec: "/data": permission denied: unknown', 'invalid-argument'],
  ['permission-denied', 'exec: "/etc": is a directory: unknown', 'invalid-argument'],
  ['internal', 'error mounting "x" to rootfs at "/y": mount x:/y, flags: 0x5000: not a directory: unknown', 'internal'],
] as const)('a start that fails as %s says %j as %s', (kind, text, expected) => {
  expect(startError(new BerthError(kind, 'X', `${prefix}${text}`), prefix)).toMatchObject({ kind: expected, message: `${prefix}${text}` })
})
