import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { OciSpec } from '../spec/oci-spec.ts'
import { applyDevices } from './apply-devices.ts'
import { findDevices, resolveDevices } from './cdi-devices.ts'

let dir: string
let directories: string[]
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-cdi-'))
  directories = [join(dir, 'static'), join(dir, 'dynamic')]
  for (const directory of directories) mkdirSync(directory)
})
afterEach(() => rmSync(dir, { recursive: true }))

const owner = process.getuid!()

function write(directory: number, name: string, devices: Record<string, object>, all: object = {}): string {
  const path = join(directories[directory] ?? '', name)
  writeFileSync(path, JSON.stringify({ cdiVersion: '0.7.0', kind: 'v.com/c', devices: Object.entries(devices).map(([device, containerEdits]) => ({ name: device, containerEdits })), containerEdits: all }), { mode: 0o644 })
  return path
}

const bare: OciSpec = {
  ociVersion: '1.0.2', root: { path: 'rootfs', readonly: false }, mounts: [{ destination: '/lib/x', type: 'tmpfs', source: 'x', options: [] }, { destination: '/proc', type: 'proc', source: 'proc', options: [] }],
  process: { terminal: false, user: { uid: 7, gid: 8 }, args: ['x'], env: ['A=before', 'B=stays'], cwd: '/', capabilities: {}, noNewPrivileges: false },
  linux: { namespaces: [], cgroupsPath: '/x', resources: { devices: [{ allow: false, access: 'rwm' }] }, devices: [{ path: '/dev/own', type: 'c', major: 9, minor: 9, fileMode: 0, uid: 0, gid: 0 }] },
} // prettier-ignore

it('lets a device of a later directory stand before one of an earlier', () => {
  write(0, 'a.json', { one: { env: ['FROM=static'] }, two: {} })
  write(1, 'a.json', { one: { env: ['FROM=dynamic'] } })
  const { devices, problems } = findDevices(directories, owner)
  expect(problems).toEqual([])
  expect([...devices.keys()]).toEqual(['v.com/c=one', 'v.com/c=two'])
  expect(devices.get('v.com/c=one')?.device.containerEdits.env).toEqual(['FROM=dynamic'])
})

it('takes neither of two devices of one name in one directory', () => {
  write(0, 'a.json', { one: {} })
  write(0, 'b.json', { one: {} })
  const { devices, problems } = findDevices(directories, owner)
  expect(devices.size).toBe(0)
  expect(problems).toEqual([expect.stringMatching(/b\.json: conflicting device v\.com\/c=one/)])
})

it('leaves out specifications that others may write, as their hooks run as root', () => {
  chmodSync(write(0, 'a.json', { one: {} }), 0o666)
  write(0, 'b.json', { two: {} })
  write(0, 'c.txt', { three: {} })
  writeFileSync(join(directories[0] ?? '', 'd.yaml'), 'kind: [', { mode: 0o644 })
  const { devices, problems } = findDevices(directories, owner)
  expect([...devices.keys()]).toEqual(['v.com/c=two'])
  expect(problems).toHaveLength(2)
  expect(findDevices(directories, owner + 1).devices.size).toBe(0)
})

it("says in Docker's words what it does not find", () => {
  expect(() => resolveDevices(directories, ['v.com/c=x', 'v.com/c=y'])).toThrow('CDI device injection failed: unresolvable CDI devices v.com/c=x, v.com/c=y')
  expect(resolveDevices(['/nowhere'], [])).toEqual([])
})

it('edits the configuration of a container, once for a specification and once for each device', () => {
  write(
    0,
    'a.json',
    {
      one: { env: ['A=one'], deviceNodes: [{ path: '/dev/own', hostPath: '/dev/null', permissions: 'r' }, { path: '/dev/made', type: 'b', major: 7, minor: 8, uid: 1 }], additionalGids: [0, 44] },
      two: { hooks: [{ hookName: 'createRuntime', path: '/bin/true', args: ['true'] }], mounts: [{ hostPath: '/usr/lib', containerPath: '/lib/x', options: ['ro', 'bind'] }] },
    },
    { env: ['ALL=once'] },
  )
  const { devices } = findDevices(directories, owner)
  const edited = applyDevices(bare, [...devices.values()])
  expect(edited.process.env).toEqual(['B=stays', 'ALL=once', 'A=one'])
  expect(edited.process.user).toEqual({ uid: 7, gid: 8, additionalGids: [44] })
  expect(edited.linux.devices).toEqual([
    { path: '/dev/own', type: 'c', major: 1, minor: 3, fileMode: 0o666, uid: 7, gid: 8 },
    { path: '/dev/made', type: 'b', major: 7, minor: 8, fileMode: 0o666, uid: 1, gid: 8 },
  ])
  expect(edited.linux.resources.devices.slice(1)).toEqual([{ allow: true, type: 'c', major: 1, minor: 3, access: 'r' }, { allow: true, type: 'b', major: 7, minor: 8, access: 'rwm' }])
  expect(edited.mounts).toEqual([{ destination: '/proc', type: 'proc', source: 'proc', options: [] }, { destination: '/lib/x', type: 'bind', source: '/usr/lib', options: ['ro', 'bind'] }])
  expect(edited.hooks).toEqual({ createRuntime: [{ path: '/bin/true', args: ['true'] }] })
})

it('tells of a device node that the machine lacks', () => {
  write(0, 'a.json', { one: { deviceNodes: [{ path: '/dev/x', hostPath: '/dev/not-there' }] } })
  expect(() => applyDevices(bare, [...findDevices(directories, owner).devices.values()])).toThrow(/CDI device injection failed: failed to stat CDI host device "\/dev\/not-there"/)
})
