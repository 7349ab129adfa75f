import { request } from 'node:http'
import type { Daemon } from './daemon.ts'
import type { TestHost } from './host.ts'

/** What a daemon and its host hold at one moment, while no container is there. */
export interface SoakSample {
  /** Cycles before it. */
  cycles: number
  descriptors: number
  threads: number
  /** Memory of the daemon alone, in KiB: what it shares with others is counted in part. */
  pss: number
  rss: number
  mounts: number
  links: number
  namespaces: number
  /** Lines of the firewall. */
  rules: number
  cgroups: number
  processes: number
  /** Files in the roots of the daemon. */
  files: number
}

const counted = ['descriptors', 'threads', 'mounts', 'links', 'namespaces', 'rules', 'cgroups', 'processes', 'files'] as const

export interface SoakOptions {
  cycles: number
  /** How many samples; 10 when absent. */
  count?: number
  onSample?: (sample: SoakSample) => void
}

/**
 * Starts and stops containers, one after the other and some side by side, in the ways that leave traces: a published port, an anonymous volume, an exec, a health
 * check, a signal, `--rm`. Gives samples at equal distances; what comes before the first is what a daemon needs to have used everything once.
 */
export async function soak(host: TestHost, daemon: Daemon, { cycles, count = 10, onSample = () => {} }: SoakOptions): Promise<SoakSample[]> {
  const samples: SoakSample[] = []
  const step = Math.max(1, Math.round(cycles / count))
  for (let done = 0; done < cycles; ) {
    const batch = Math.min(step, cycles - done)
    for (let n = 0; n < batch; n += 2) await Promise.all([cycle(daemon, done + n), ...(n + 1 < batch ? [cycle(daemon, done + n + 1)] : [])])
    done += batch
    const sample = await settledSample(host, daemon, done)
    samples.push(sample)
    onSample(sample)
  }
  return samples
}

/** What may come and go without being lost: a connection that a client keeps open, a thread that has not ended yet. */
const allowance: Partial<Record<(typeof counted)[number], number>> = { descriptors: 4, threads: 2 }

/**
 * What has grown, in words; nothing when all is flat: in the last third of the samples never as little as at most in the first. Memory may grow by a fifth and
 * 8 MiB, as its garbage is not collected at once.
 */
export function growth(samples: readonly SoakSample[]): string[] {
  const third = Math.ceil(samples.length / 3)
  const [first, last] = [samples.slice(0, third), samples.slice(-third)]
  const grown: string[] = counted.flatMap((what) => {
    const [before, after] = [Math.max(...first.map((sample) => sample[what])), Math.min(...last.map((sample) => sample[what]))]
    return after > before + (allowance[what] ?? 0) ? [`${what}: ${before} at first, ${after} in the end`] : []
  })
  const [early, late] = [first, last].map((part) => Math.min(...part.map(({ pss }) => pss))) as [number, number]
  if (late > early * 1.2 + 8192) grown.push(`memory: ${early} KiB at first, ${late} KiB in the end`)
  return grown
}

async function cycle(daemon: Daemon, n: number): Promise<void> {
  const call = (method: string, path: string, body?: object) => callDaemon(daemon, method, path, body)
  const isRemoved = n % 3 === 0
  const { Id } = (await call('POST', '/containers/create', {
    Image: 'busybox',
    Cmd: ['sh', '-c', 'trap "exit 0" TERM; echo ready; while :; do usleep 20000; done'],
    Volumes: n % 4 === 0 ? { '/data': {} } : {},
    ExposedPorts: { '80/tcp': {} },
    Healthcheck: n % 5 === 0 ? { Test: ['CMD', 'true'], Interval: 50_000_000 } : {},
    HostConfig: { AutoRemove: isRemoved, PortBindings: n % 2 === 0 ? { '80/tcp': [{ HostPort: '' }] } : {} },
  })) as { Id: string }
  const removed = isRemoved ? call('POST', `/containers/${Id}/wait?condition=removed`) : undefined
  await call('POST', `/containers/${Id}/start`)
  if (n % 7 === 0) {
    const exec = (await call('POST', `/containers/${Id}/exec`, { Cmd: ['true'], AttachStdout: true })) as { Id: string }
    await call('POST', `/exec/${exec.Id}/start`, { Detach: true })
  }
  await call('POST', n % 6 === 0 ? `/containers/${Id}/kill` : `/containers/${Id}/stop?t=1`)
  await removed
  if (!isRemoved) await call('DELETE', `/containers/${Id}?v=1&force=1`)
}

function callDaemon({ socket }: Daemon, method: string, path: string, body?: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: socket, method, path: `/v1.51${path}`, headers: { 'content-type': 'application/json' } }, (response) => {
      response.toArray().then((chunks) => {
        const text = Buffer.concat(chunks as Buffer[]).toString()
        if ((response.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))
        else resolve(text.startsWith('{') ? JSON.parse(text) : undefined)
      }, reject)
    })
    call.on('error', reject)
    call.end(body && JSON.stringify(body))
  })
}

/** A sample when nothing changes any more: what ends after the answer to its request has ended. */
async function settledSample(host: TestHost, daemon: Daemon, cycles: number): Promise<SoakSample> {
  let sample = await takeSample(host, daemon, cycles)
  for (let tries = 0; tries < 20; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    const next = await takeSample(host, daemon, cycles)
    const isSettled = counted.every((what) => next[what] === sample[what])
    sample = next
    if (isSettled) break
  }
  return sample
}

async function takeSample(host: TestHost, daemon: Daemon, cycles: number): Promise<SoakSample> {
  const { pid, dataRoot, execRoot } = daemon
  const script = `
    ls /proc/${pid}/fd | wc -l
    ls /proc/${pid}/task | wc -l
    sed -n 's/^Pss: *//p' /proc/${pid}/smaps_rollup
    sed -n 's/^Rss: *//p' /proc/${pid}/smaps_rollup
    wc -l < /proc/self/mountinfo
    ip -o link | wc -l
    ls /run/netns | wc -l
    nft list ruleset | wc -l
    find /sys/fs/cgroup -path '*${host.cgroupParent}/*' -type d | wc -l
    ls -d /proc/[0-9]* | wc -l
    find ${dataRoot} ${execRoot} | wc -l`
  const [descriptors = 0, threads = 0, pss = 0, rss = 0, mounts = 0, links = 0, namespaces = 0, rules = 0, cgroups = 0, processes = 0, files = 0] = (await host.sh(script))
    .trim()
    .split('\n')
    .map((line) => Number.parseInt(line, 10))
  return { cycles, descriptors, threads, pss, rss, mounts, links, namespaces, rules, cgroups, processes, files }
}
