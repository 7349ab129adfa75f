import type { HostConfig } from '@berth/api-types'
import { expect, test } from 'vitest'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

/** Makes a container that is not started. */
async function created({ runtime }: FakeEngine, name: string, host: HostConfig = {}): Promise<void> {
  await runtime.containers.create(name, { Image: 'busybox', Cmd: ['true'], HostConfig: host }, {})
}

test('user namespaces are refused with what they cannot have, in the words of Docker, unless a container opts out', async () => {
  await using engine = await fakeEngine({}, () => ({}), { userns: { mode: 'private' } })
  await expect(created(engine, 'c1', { Privileged: true })).rejects.toThrow('privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode')
  await expect(created(engine, 'c1', { NetworkMode: 'host' })).rejects.toThrow("cannot share the host's network namespace when user namespaces are enabled")
  await expect(created(engine, 'c1', { PidMode: 'host' })).rejects.toThrow('cannot share the host PID namespace when user namespaces are enabled')
  await expect(created(engine, 'c1', { IpcMode: 'host' })).rejects.toThrow('cannot share the host IPC namespace when user namespaces are enabled')
  await created(engine, 'c1', { Privileged: true, NetworkMode: 'host', UsernsMode: 'host' })
  await expect(created(engine, 'c2', { UsernsMode: 'own' })).rejects.toThrow(/invalid userns mode: own/)
})

test('a container that joins another is in its user namespace, and cannot be in two', async () => {
  await using engine = await fakeEngine()
  await created(engine, 'own', { UsernsMode: 'private' })
  await created(engine, 'other', { UsernsMode: 'private' })
  await created(engine, 'plain')
  await created(engine, 'joins', { NetworkMode: 'container:own', PidMode: 'container:own' })
  await created(engine, 'joins-too', { IpcMode: 'container:joins', PidMode: 'container:own' })
  await expect(created(engine, 'two', { NetworkMode: 'container:own', PidMode: 'container:other' })).rejects.toThrow(/different user namespaces/)
  await expect(created(engine, 'two', { NetworkMode: 'container:own', PidMode: 'container:plain' })).rejects.toThrow(/different user namespaces/)
  await expect(created(engine, 'two', { NetworkMode: 'container:own', UsernsMode: 'private' })).rejects.toThrow(/with a user namespace of its own/)
  // What it joins belongs to the machine's, and so does it.
  await created(engine, 'two', { NetworkMode: 'container:plain', Privileged: true })
})

test('nobody is remapped to who has no IDs', async () => {
  await expect(fakeEngine({}, () => ({}), { userns: { remap: 'nobody-of-that-name' } })).rejects.toMatchObject({ kind: 'invalid-argument', code: 'USERNS_REMAP_INVALID' })
})

test('devices of no driver, and requests that CDI does not take, are refused', async () => {
  await using engine = await fakeEngine()
  const requests = (...DeviceRequests: object[]): Promise<void> => created(engine, 'c1', { DeviceRequests } as HostConfig)
  await expect(requests({ Driver: 'nvidia', Count: -1, Capabilities: [['gpu', 'compute']] })).rejects.toThrow('could not select device driver "nvidia" with capabilities: [[gpu compute]]')
  await expect(requests({ Driver: 'cdi', Count: 1, DeviceIDs: ['v/c=d'] })).rejects.toThrow('unexpected count in CDI device request')
  await expect(requests({ Driver: 'cdi', Options: { a: 'b' }, DeviceIDs: ['v/c=d'] })).rejects.toThrow('unexpected options in CDI device request')
  await expect(requests({ Driver: 'cdi', DeviceIDs: ['/dev/x'] })).rejects.toThrow(/invalid CDI device name/)
  await created(engine, 'c1', { Devices: [{ PathOnHost: 'v.com/c=d' }] })
  expect((await engine.runtime.containers.inspect('c1', { size: false })).HostConfig).toMatchObject({ Devices: [], DeviceRequests: [{ Driver: 'cdi', DeviceIDs: ['v.com/c=d'] }] })
  await expect(engine.runtime.containers.start('c1')).rejects.toThrow('CDI device injection failed: unresolvable CDI devices v.com/c=d')
})
