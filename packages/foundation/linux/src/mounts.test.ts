import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { detectCgroups } from './cgroups.ts'
import { mount, parseMountOptions, readMountInfo } from './mounts.ts'
import { parseCounters } from './namespace-runner.ts'

const dir = mkdtempSync(join(tmpdir(), 'berth-linux-'))
afterAll(() => rmSync(dir, { recursive: true }))
const mountInfo = (text: string): string => {
  const path = join(dir, `${Math.random()}`)
  writeFileSync(path, text)
  return path
}

it('splits options into flags and data', () => {
  expect(parseMountOptions(['ro', 'nosuid', 'lowerdir=/a:/b', 'index=off'])).toEqual({ flags: 3, data: 'lowerdir=/a:/b,index=off' })
  expect(parseMountOptions(['ro', 'rw', 'rbind'])).toEqual({ flags: 4096 | 16384, data: '' })
})

it('refuses options that the kernel would cut off, and paths that hold NUL', () => {
  expect(() => mount('overlay', dir, 'overlay', 0, 'x'.repeat(4096))).toThrow(/4096 bytes/)
  expect(() => mount('a\0b', dir, 'tmpfs')).toThrow(/NUL/)
  expect(() => mount('x', join(dir, 'missing'), 'tmpfs')).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'mount' }))
})

it('reads mount points with spaces', () => {
  const path = mountInfo('36 35 98:0 /mnt1 /with\\040space rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n')
  expect(readMountInfo(path)).toMatchObject([{ id: 36, root: '/mnt1', mountPoint: '/with space', options: ['rw', 'noatime'], type: 'ext3', superOptions: ['rw', 'errors=continue'] }])
})

it('tells the versions of control groups apart', () => {
  const one = '1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n2 0 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n'
  const two = '3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n'
  expect(detectCgroups(mountInfo(one + two))).toEqual({ version: 1, controllers: new Map([['memory', '/sys/fs/cgroup/memory'], ['cpu', '/sys/fs/cgroup/cpu'], ['cpuacct', '/sys/fs/cgroup/cpu']]) })
  expect(detectCgroups(mountInfo(two))).toMatchObject({ version: 2, mountPoint: '/sys/fs/cgroup/unified' })
  expect(detectCgroups(mountInfo(''))).toBeUndefined()
})

it('reads the counters of interfaces', () => {
  const text = 'Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n'
  expect(parseCounters(text)).toEqual({ eth0: { rx_bytes: 10, rx_packets: 2, rx_errors: 3, rx_dropped: 4, tx_bytes: 50, tx_packets: 6, tx_errors: 7, tx_dropped: 8 } })
})
