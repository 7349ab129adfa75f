import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OciRuntime } from '@berth/oci-runtime'
import { shimRuntime } from '../src/index.ts'
import { type BundleRoot, bundleRoot, processSpec } from './busybox-bundle.ts'

const none = { terminal: false, stdin: false }
const piped = { terminal: false, stdin: true }

describe('tasks under a shim', { timeout: 30_000 }, () => {
  let root: BundleRoot
  let runtime: OciRuntime

  beforeEach(async () => {
    root = await bundleRoot()
    runtime = shimRuntime({ stateDir: root.stateDir })
  })
  // Disposing the root fails if a mount, process, cgroup, socket or pipe was left.
  afterEach(async () => {
    await runtime[Symbol.asyncDispose]()
    await root[Symbol.asyncDispose]()
  })

  const start = async (script: string, stdio = none, options: Parameters<BundleRoot['bundle']>[1] = {}) => {
    const bundle = await root.bundle(['/bin/sh', '-c', script], { stdio, ...options })
    const task = await runtime.create({ ...bundle, stdio })
    await task.start()
    return { bundle, task }
  }

  /** A task that another process made, which was then killed. */
  const orphan = async (script: string, stdio = none) => {
    const bundle = await root.bundle(['/bin/sh', '-c', script], { stdio })
    const creator = spawn(process.execPath, ['--conditions=@berth/source', fileURLToPath(new URL('creator.ts', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] })
    creator.stdin.end(JSON.stringify({ stateDir: root.stateDir, task: { ...bundle, stdio } }))
    const pid = Number((await once(creator.stdout, 'data'))[0])
    creator.kill('SIGKILL')
    await once(creator, 'exit')
    return { bundle, pid }
  }

  const killShim = (id: string) => {
    const shim = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && commandOf(pid).startsWith('containerd-shim-runc-v2') && commandOf(pid).includes(id))
    process.kill(Number(shim), 'SIGKILL')
  }

  it('carries 20 MB through a process byte for byte', async () => {
    const { task } = await start('cat; echo done >&2', piped)
    const block = randomBytes(1 << 20)
    const received = createHash('sha256')
    const sent = createHash('sha256')
    const source = function* () {
      for (let n = 0; n < 20; n++) {
        sent.update(block)
        yield block
      }
    }
    await Promise.all([pipeline(Readable.from(source()), task.stdin!), pipeline(task.stdout, received)])
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    expect(String(await task.stderr!.toArray())).toBe('done\n')
    expect((await task.delete()).status).toBe(0)
  })

  it('drops what is sent to a process that has closed its stdin', async () => {
    const { task } = await start('exec <&-; read x; echo on; sleep 0.2', piped)
    await pipeline(Readable.from([randomBytes(1 << 20)]), task.stdin!)
    expect(String(await task.stdout.toArray())).toBe('on\n')
    await task.wait()
    await task.delete()
  })

  it('goes on when its user is killed, and is found by the next', async () => {
    const { bundle, pid } = await orphan('read x; echo got $x; exit 4', piped)
    const task = (await runtime.reconnect({ ...bundle, stdio: piped }))!
    expect(task.pid).toBe(pid)
    expect(await task.status()).toBe('running')
    task.stdin!.end('it\n')
    expect(String(await task.stdout.toArray())).toBe('got it\n')
    expect((await task.wait()).status).toBe(4)
    await task.delete()
  })

  it('keeps what was written, and the exit status, while nobody was there', async () => {
    const { bundle, pid } = await orphan('sleep 0.3; echo last words; echo and errors >&2; exit 6')
    await until(() => !existsSync(`/proc/${pid}`))
    const task = (await runtime.reconnect({ ...bundle, stdio: none }))!
    expect(await Promise.all([task.stdout.toArray(), task.stderr!.toArray()]).then((streams) => streams.map(String))).toEqual(['last words\n', 'and errors\n'])
    expect((await task.wait()).status).toBe(6)
    await task.delete()
  })

  it('loses nothing of a long output over a kill', async () => {
    const { bundle, pid } = await orphan('i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done')
    const task = (await runtime.reconnect({ ...bundle, stdio: none }))!
    const lines = Buffer.concat(await task.stdout.toArray()).toString().trimEnd().split('\n')
    expect(lines).toEqual(Array.from({ length: 20000 }, (_, n) => `line ${n}`))
    expect((await task.wait()).status).toBe(0)
    expect(pid).toBe(task.pid)
    await task.delete()
  })

  it('ends as killed when its shim is killed, and is cleaned away', async () => {
    const { bundle, task } = await start('sleep 1000')
    killShim(bundle.id)
    expect((await task.wait()).status).toBe(137)
    await until(() => !existsSync(`/proc/${task.pid}`))
    await task.delete()
    expect(await runtime.reconnect({ ...bundle, stdio: none })).toBeUndefined()
  })

  it('is cleaned away when its shim is killed while it is paused', async () => {
    const { bundle, task } = await start('sleep 1000')
    await task.pause()
    killShim(bundle.id)
    expect((await task.wait()).status).toBe(137)
    await task.delete()
  })

  it('is gone when its shim was killed while nobody was there, and is cleaned away', async () => {
    const { bundle, pid } = await orphan('sleep 1000')
    killShim(bundle.id)
    expect(await runtime.reconnect({ ...bundle, stdio: none })).toBeUndefined()
    await until(() => !existsSync(`/proc/${pid}`))
  })

  it('tells of a kill for memory before it tells of the end', async () => {
    const bundle = await root.bundle(['/bin/sh', '-c', 'tail /dev/zero; exit 5'], { memory: 16 << 20 })
    const task = await runtime.create({ ...bundle, stdio: none })
    const order: string[] = []
    task.onOom(() => order.push('oom'))
    await task.start()
    await task.wait().then(() => order.push('exit'))
    expect(order).toEqual(['oom', 'exit'])
    await task.delete()
    expect(order).toEqual(['oom', 'exit'])
  })

  it('changes the limits of a running task', async () => {
    const { bundle, task } = await start('sleep 1000', none, { memory: 64 << 20 })
    await task.update({ memory: { limit: 48 << 20, swap: 48 << 20 } })
    const group = (JSON.parse(readFileSync(join(bundle.bundle, 'config.json'), 'utf8')) as { linux: { cgroupsPath: string } }).linux.cgroupsPath
    const limit = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'].flatMap((at) => ['memory.limit_in_bytes', 'memory.max'].map((file) => join(at, group, file))).find(existsSync)!
    expect(Number(readFileSync(limit, 'utf8'))).toBe(48 << 20)
    await task.kill(9)
    await task.wait()
    await task.delete()
  })

  it('ends although a process that it left behind holds its output', async () => {
    const { task } = await start('sleep 1000 & echo bye', none, { namespaces: ['ipc', 'uts', 'mount'] })
    await task.wait()
    expect(String(await task.stdout.toArray())).toBe('bye\n')
    await task.delete()
  })

  it('gives the runtime the arguments that it was told to', async () => {
    // Without them, and in this order, it is no runtime.
    await using other = shimRuntime({ stateDir: join(root.stateDir, 'other'), runtimeBinary: '/usr/bin/env', runtimeArgs: ["A=it's", '/usr/sbin/runc'] })
    const task = await other.create({ ...(await root.bundle(['/bin/sh', '-c', 'exit 8'])), stdio: none })
    await task.start()
    expect((await task.wait()).status).toBe(8)
    await task.delete()
  })

  it('runs several at once', async () => {
    const statuses = await Promise.all([1, 2, 3, 4].map(async (n) => {
      const { task } = await start(`exit ${n}`)
      await task.wait()
      return (await task.delete()).status
    }))
    expect(statuses).toEqual([1, 2, 3, 4])
  })

  describe('that cannot be made', () => {
    const refused = 'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: '

    it.each([
      [['nope'], 'not-found', `${refused}"nope": executable file not found in $PATH: unknown`],
      [['/bin/data'], 'permission-denied', `${refused}"/bin/data": permission denied: unknown`],
    ] as const)('say why: %o', async (args, kind, message) => {
      const bundle = await root.bundle(args)
      await expect(runtime.create({ ...bundle, stdio: none })).rejects.toMatchObject({ kind, message })
      expect(await runtime.reconnect({ ...bundle, stdio: none })).toBeUndefined()
    })

    it('say that the root cannot be mounted', async () => {
      const bundle = await root.bundle(['/bin/true'])
      const rootfs = [{ type: 'overlay', source: 'overlay', options: ['lowerdir=/no/such/directory'] }]
      await expect(runtime.create({ ...bundle, rootfs, stdio: none })).rejects.toMatchObject({ kind: 'internal', message: expect.stringContaining('mount') as string })
    })

    it('say that there is no shim', async () => {
      await using other = shimRuntime({ stateDir: root.stateDir, shimBinary: 'no-such-shim' })
      await expect(other.create({ ...(await root.bundle(['/bin/true'])), stdio: none })).rejects.toMatchObject({ kind: 'unavailable' })
    })

    it('say what a shim said that ended too early', async () => {
      await using other = shimRuntime({ stateDir: root.stateDir, shimBinary: '/bin/false' })
      await expect(other.create({ ...(await root.bundle(['/bin/true'])), stdio: none })).rejects.toMatchObject({ kind: 'unavailable', code: 'SHIM_ENDED' })
    })

    it('leave nothing when their caller gives up', async () => {
      for (const delay of [1, 15, 30]) {
        const bundle = await root.bundle(['/bin/sh', '-c', 'sleep 1000'])
        const signal = AbortSignal.timeout(delay)
        await expect(runtime.create({ ...bundle, stdio: none, signal })).rejects.toMatchObject({ name: 'TimeoutError' })
      }
    })

    it('are refused for an id that is no name', async () => {
      const bundle = await root.bundle(['/bin/true'])
      await expect(runtime.create({ ...bundle, id: '../up', stdio: none })).rejects.toMatchObject({ kind: 'invalid-argument' })
    })
  })

  it('says that an exec’s program may not be executed', async () => {
    const { task } = await start('sleep 1000')
    const process = await task.exec({ id: 'e', process: processSpec(['/bin/data']), stdio: none })
    await expect(process.start()).rejects.toMatchObject({
      kind: 'permission-denied',
      message: 'OCI runtime exec failed: exec failed: unable to start container process: exec: "/bin/data": permission denied: unknown',
    })
    expect(task.execs()).toEqual([])
    await task.kill(9)
    await task.wait()
    await task.delete()
  })
})

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
