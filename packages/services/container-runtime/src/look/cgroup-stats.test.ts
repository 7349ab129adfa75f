import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readCgroup } from './cgroup-stats.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cgroup-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function write(files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), content)
  }
}

const notCounted = { io_queue_recursive: null, io_service_time_recursive: null, io_wait_time_recursive: null, io_merged_recursive: null, io_time_recursive: null, sectors_recursive: null }

it('reads cgroup v1 as the docker command line computes with it', () => {
  write({
    'memory/memory.usage_in_bytes': '5000\n', 'memory/memory.max_usage_in_bytes': '6000\n', 'memory/memory.failcnt': '2\n',
    'memory/memory.limit_in_bytes': '9223372036854771712\n', 'memory/memory.stat': 'cache 10\ntotal_inactive_file 1000\n',
    'cpuacct/cpuacct.usage': '123456789\n', 'cpuacct/cpuacct.usage_percpu': '100 200 \n', 'cpuacct/cpuacct.stat': 'user 7\nsystem 3\n',
    'cpu/cpu.stat': 'nr_periods 5\nnr_throttled 4\nthrottled_time 99\n', 'pids/pids.current': '3\n', 'pids/pids.max': 'max\n',
    'blkio/blkio.throttle.io_service_bytes_recursive': '8:0 Read 4096\n8:0 Write 0\nTotal 4096\n',
  }) // prettier-ignore
  const directories = Object.fromEntries(['memory', 'cpuacct', 'cpu', 'pids', 'blkio'].map((name) => [name, join(root, name)]))
  expect(readCgroup(directories, 1_000_000)).toEqual({
    // Without a limit of its own, a container may use the machine's memory.
    memory_stats: { usage: 5000, max_usage: 6000, failcnt: 2, limit: 1_000_000, stats: { cache: 10, total_inactive_file: 1000 } },
    cpu: {
      cpu_usage: { total_usage: 123456789, percpu_usage: [100, 200], usage_in_usermode: 70_000_000, usage_in_kernelmode: 30_000_000 },
      throttling_data: { periods: 5, throttled_periods: 4, throttled_time: 99 },
    },
    pids_stats: { current: 3 },
    blkio_stats: { io_service_bytes_recursive: [{ major: 8, minor: 0, op: 'Read', value: 4096 }, { major: 8, minor: 0, op: 'Write', value: 0 }], io_serviced_recursive: [], ...notCounted },
  })
})

it('reads cgroup v2 in the same units', () => {
  write({
    'memory.current': '5000\n', 'memory.max': '64000\n', 'memory.stat': 'inactive_file 1000\n', 'memory.events': 'low 0\nmax 9\noom 2\n',
    'cpu.stat': 'usage_usec 1000\nuser_usec 700\nsystem_usec 300\nnr_periods 5\nnr_throttled 4\nthrottled_usec 9\n', 'pids.current': '3\n', 'pids.max': '50\n',
    'io.stat': '8:0 rbytes=4096 wbytes=1 rios=2 wios=3 dbytes=0 dios=0\n',
  }) // prettier-ignore
  expect(readCgroup({ unified: root }, 1_000_000)).toEqual({
    memory_stats: { usage: 5000, failcnt: 2, limit: 64000, stats: { inactive_file: 1000 } },
    cpu: {
      cpu_usage: { total_usage: 1_000_000, usage_in_usermode: 700_000, usage_in_kernelmode: 300_000 },
      throttling_data: { periods: 5, throttled_periods: 4, throttled_time: 9000 },
    },
    pids_stats: { current: 3, limit: 50 },
    blkio_stats: {
      io_service_bytes_recursive: [{ major: 8, minor: 0, op: 'read', value: 4096 }, { major: 8, minor: 0, op: 'write', value: 1 }],
      io_serviced_recursive: [{ major: 8, minor: 0, op: 'read', value: 2 }, { major: 8, minor: 0, op: 'write', value: 3 }],
      ...notCounted,
    },
  })
})

it('is zero for a container that has just ended', () => {
  expect(readCgroup({ unified: join(root, 'gone') }, 1000)).toMatchObject({ memory_stats: { usage: 0, limit: 1000 }, pids_stats: { current: 0 } })
})
