import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type DaemonOptions, parseOptions } from './options.ts'
import { runtimeOptions } from './runtime-options.ts'

it('takes runtimes from flags', () => {
  const { runtimes, defaultRuntime } = parseOptions(['--add-runtime', 'crun=/usr/bin/crun', '--default-runtime', 'crun']) as DaemonOptions
  expect(runtimes).toEqual({ crun: { path: '/usr/bin/crun' } })
  expect(defaultRuntime).toBe('crun')
})

it('takes runtimes from the configuration file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-options-'))
  const file = join(directory, 'daemon.json')
  const settings = {
    runsc: { path: '/usr/bin/runsc', runtimeArgs: ['--platform=ptrace'] },
    kata: { runtimeType: 'io.containerd.kata.v2', options: { ConfigPath: '/etc/kata.toml' } },
  }
  writeFileSync(file, JSON.stringify({ runtimes: settings }))
  expect((parseOptions(['--config-file', file]) as DaemonOptions).runtimes).toEqual(settings)
  rmSync(directory, { recursive: true })
})

it.each([
  ['crun'],
  ['=/usr/bin/crun'],
  ['../up=/usr/bin/crun'],
  ['runc=/usr/bin/other'],
  ['a={}'],
  ['a={"path":"/x","runtimeType":"io.containerd.a.v1"}'],
  ['a={"path":"/x","more":1}'],
  ['a={"path":"/x","runtimeArgs":"one"}'],
  ['a={"runtimeType":"io.containerd.a.v1","options":{"Other":"x"}}'],
])('refuses %s', (option) => {
  expect(() => runtimeOptions([option])).toThrow(expect.objectContaining({ kind: 'invalid-argument' }) as Error)
})
