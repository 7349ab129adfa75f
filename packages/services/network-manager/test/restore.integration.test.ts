import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRecords } from '@berth/core'
import { expect, it } from 'vitest'
import { addressOn, Machine, requestFor, run } from './harness.ts'

const ports = { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } }

it('a start finds containers that run undisturbed, and takes down what others had', async () => {
  await using machine = new Machine()
  let networks = await machine.start()
  await networks.create({ Name: 'front' })
  const alive = await run(networks, 'alive', { networkMode: 'front', host: ports })
  const dead = await run(networks, 'dead')
  const before = networks.settings(alive)
  const addresses = [addressOn(networks, alive, 'front'), addressOn(networks, dead, 'bridge')]
  networks = await machine.start({ running: [alive] })
  expect(networks.settings(alive)).toEqual(before)
  expect(networks.settings(dead)).toMatchObject({ SandboxID: '', IPAddress: '' })
  expect(machine.endpoints).toEqual([before.Networks?.['front']?.EndpointID])
  expect(machine.namesIn('netns')).toHaveLength(1)
  expect(machine.namesIn('files')).toEqual([alive])
  expect(addresses).toEqual(['172.18.0.2', '172.17.0.2'])
  // An address that is in use is not given to anybody else.
  expect(addressOn(networks, await run(networks, 'next', { networkMode: 'front' }), 'front')).toBe('172.18.0.3')
  await expect(run(networks, 'late', { host: ports })).rejects.toThrow(/port is already allocated/)
  await networks.attach(dead)
  await networks.detach(alive)
})

it('what a crash left in the middle is undone', async () => {
  await using machine = new Machine()
  let networks = await machine.start()
  const { Id } = await networks.create({ Name: 'half' })
  await machine.stop()
  const db = openRecords({ path: join(machine.dir, 'state', 'networks.db'), migrations: [] })
  db.prepare('UPDATE networks SET record = json_set(record, ?, ?) WHERE id = ?').run('$.phase', 'creating', Id)
  db.close()
  mkdirSync(join(machine.execDir, 'netns'), { recursive: true })
  mkdirSync(join(machine.filesDir, 'stray'), { recursive: true })
  writeFileSync(join(machine.execDir, 'netns', 'stray'), '')
  networks = await machine.start()
  expect((await networks.list(new Map())).map(({ Name }) => Name)).toEqual(['bridge', 'host', 'none'])
  expect(machine.kernel.networks.has(Id)).toBe(false)
  expect([...machine.namesIn('netns'), ...machine.namesIn('files')]).toEqual([])
})

it('a reboot takes everything but the records', async () => {
  await using machine = new Machine()
  let networks = await machine.start()
  const id = await run(networks, 'web', { host: ports })
  await networks.detach(id)
  machine.kernel.networks.clear()
  networks = await machine.start({ execDir: join(machine.dir, 'exec', 'fresh') })
  expect(machine.kernel.networks.size).toBe(1)
  await networks.attach(id)
  expect(networks.settings(id).Ports?.['80/tcp']).toHaveLength(2)
  await networks.release(id)
})

it('an end in order leaves nothing in the kernel but what runs, and the next start makes it again', async () => {
  await using machine = new Machine()
  let networks = await machine.start()
  const { Id: front } = await networks.create({ Name: 'front' })
  await networks.create({ Name: 'idle' })
  const id = await run(networks, 'web', { networkMode: 'front' })
  await networks.shutDown()
  expect([...machine.kernel.networks.keys()]).toEqual([front])
  networks = await machine.start({ running: [id] })
  expect(machine.kernel.networks.size).toBe(3)
  await networks.release(id)
  await networks.shutDown()
  expect(machine.kernel.networks.size).toBe(0)
  expect(existsSync(machine.execDir)).toBe(false)
  networks = await machine.start()
  expect((await networks.list(new Map())).map(({ Name }) => Name)).toEqual(['bridge', 'host', 'none', 'front', 'idle'])
  expect(machine.kernel.networks.size).toBe(3)
})

it('the default bridge keeps its subnet while a container runs on it', async () => {
  await using machine = new Machine()
  let networks = await machine.start()
  const id = await run(networks, 'web')
  networks = await machine.start({ running: [id], defaultBridge: { bip: '10.9.0.1/24' } })
  expect((await networks.inspect('bridge')).IPAM?.Config?.[0]?.Subnet).toBe('172.17.0.0/16')
  await networks.detach(id)
  networks = await machine.start({ defaultBridge: { bip: '10.9.0.1/24' } })
  expect((await networks.inspect('bridge')).IPAM?.Config?.[0]?.Subnet).toBe('10.9.0.0/24')
  const request = requestFor('other')
  await networks.reserve(request)
  await networks.attach(request.containerId)
  expect(addressOn(networks, request.containerId, 'bridge')).toBe('10.9.0.2')
  await networks.detach(request.containerId)
})
