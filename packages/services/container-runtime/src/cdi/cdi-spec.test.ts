import { expect, it } from 'vitest'
import { isCdiName, parseCdiSpec } from './cdi-spec.ts'

const spec = (edits: object, version = '0.7.0'): string => JSON.stringify({ cdiVersion: version, kind: 'vendor.com/dev', devices: [{ name: 'one', containerEdits: edits }] })
const edits = (given: object, version?: string): unknown => parseCdiSpec(spec(given, version), 'json').devices[0]?.containerEdits

it('knows names of devices from paths', () => {
  for (const name of ['vendor.com/class=name', 'v/c=0', 'nvidia.com/gpu=GPU-1:2']) expect(isCdiName(name)).toBe(true)
  for (const name of ['/dev/fuse', '/dev/x=y', 'vendor.com/class', 'vendor.com/class=', 'a/b/c=d', '-v/c=n', 'v/c=../x']) expect(isCdiName(name)).toBe(false)
})

it('reads YAML and JSON', () => {
  const yaml = 'cdiVersion: v0.5.0\nkind: vendor.com/dev\ndevices:\n  - name: "one"\n    containerEdits:\n      env: [A=b]\n      deviceNodes:\n        - path: /dev/x\n          hostPath: /dev/null\n          fileMode: 0o600\n'
  expect(parseCdiSpec(yaml, 'yaml')).toEqual({
    cdiVersion: '0.5.0',
    kind: 'vendor.com/dev',
    devices: [{ name: 'one', containerEdits: { env: ['A=b'], deviceNodes: [{ path: '/dev/x', hostPath: '/dev/null', fileMode: 0o600 }], mounts: [], hooks: [], additionalGids: [] } }],
    containerEdits: { env: [], deviceNodes: [], mounts: [], hooks: [], additionalGids: [] },
  })
})

it('refuses what it cannot do or does not know, and says what', () => {
  expect(() => edits({ intelRdt: { closID: 'x' } })).toThrow(/intelRdt is not supported/)
  expect(() => edits({ netDevices: [] })).toThrow(/netDevices are not supported/)
  expect(() => edits({ surprise: 1 })).toThrow(/not known: surprise/)
  expect(() => edits({ env: ['NAME'] })).toThrow(/invalid environment variable/)
  expect(() => edits({ env: 'A=b' })).toThrow(/another type/)
  expect(() => edits({ deviceNodes: [{ path: 'dev/x' }] })).toThrow(/no absolute path/)
  expect(() => edits({ deviceNodes: [{ path: '/dev/x', permissions: 'x' }] })).toThrow(/invalid permissions/)
  expect(() => edits({ hooks: [{ hookName: 'later', path: '/bin/true' }] })).toThrow(/invalid hook name later/)
  expect(() => edits({ mounts: [{ hostPath: '/x', containerPath: '/a/../b' }] })).toThrow(/no absolute path/)
  expect(() => edits({}, '9.0.0')).toThrow(/version 9.0.0 is not known/)
  expect(() => edits({ additionalGids: [5] }, '0.6.0')).toThrow(/additionalGids needs version 0.7.0/)
  expect(() => parseCdiSpec('[]', 'json')).toThrow(/no object/)
  expect(() => parseCdiSpec('cdiVersion: "0.3.0"\nkind: nothing\ndevices: []', 'yaml')).toThrow(/invalid kind/)
})
