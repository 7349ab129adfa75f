import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CreateTaskOptions, OciRuntime, StdioOptions, Task } from './index.ts'

/**
 * The programs that the suite runs, with what runs them on a real machine: busybox.
 * A runtime whose processes are something else brings programs of the same behaviour.
 */
export const contractPrograms = {
  /** Ends with status 3. */
  exit3: ['/bin/sh', '-c', 'exit 3'],
  /** Writes `out` and a newline to stdout, `err` and a newline to stderr. */
  print: ['/bin/sh', '-c', 'echo out; echo err >&2'],
  /** Copies stdin to stdout. */
  cat: ['/bin/cat'],
  /** Waits for ever; ends with status 9 on SIGTERM. Writes `ready` and a newline once it handles that. */
  wait: ['/bin/sh', '-c', 'trap "exit 9" TERM; echo ready; sleep 1000 & wait'],
  /** Reads a line, then writes its terminal's `HEIGHT WIDTH`. */
  size: ['/bin/sh', '-c', 'read line; stty size'],
  /** Reads a line, then writes `late` and a newline and ends with status 5. */
  late: ['/bin/sh', '-c', 'read line; echo late; exit 5'],
  /** For each line that it reads: writes how many there were and a newline. */
  count: ['/bin/sh', '-c', 'n=0; while read line; do n=$((n+1)); echo $n; done'],
  /** Does not exist. */
  missing: ['/no/such/program'],
} as const satisfies Record<string, readonly string[]>

export type ContractProgram = keyof typeof contractPrograms

export interface OciRuntimeHarness extends AsyncDisposable {
  runtime: OciRuntime
  /** Makes a bundle that runs `program`. */
  bundle(program: ContractProgram, stdio: StdioOptions): Promise<Omit<CreateTaskOptions, 'stdio' | 'signal'>>
  /** The OCI `process` object of an exec. */
  process(program: ContractProgram, stdio: StdioOptions): object
  /** Disposes `runtime` and puts a new one over the same state in its place, as after a restart. */
  restart(): Promise<void>
}

const none: StdioOptions = { terminal: false, stdin: false }
const piped: StdioOptions = { terminal: false, stdin: true }
const terminal: StdioOptions = { terminal: true, stdin: true }

export interface OciRuntimeSuiteOptions {
  /** Whether the machine has what checkpoints take; where not, they have to be refused and leave the task alone. */
  canCheckpoint: boolean
}

/** Runs the OCI runtime suite on what `setUp` makes afresh for each test. */
export function describeOciRuntime(name: string, setUp: () => Promise<OciRuntimeHarness>, { canCheckpoint }: OciRuntimeSuiteOptions): void {
  describe(`OCI runtime contract: ${name}`, { timeout: 30_000 }, () => {
    let harness: OciRuntimeHarness
    let tasks: Task[]

    beforeEach(async () => {
      harness = await setUp()
      tasks = []
    })
    afterEach(async () => {
      for (const task of tasks) await end(task)
      await harness[Symbol.asyncDispose]()
    })

    const create = async (program: ContractProgram, stdio = none) => {
      const task = await harness.runtime.create({ ...(await harness.bundle(program, stdio)), stdio })
      tasks.push(task)
      return task
    }
    const exec = (task: Task, id: string, program: ContractProgram, stdio = none) =>
      task.exec({ id, process: harness.process(program, stdio), stdio })

    it('runs a process to its exit status', async () => {
      const task = await create('exit3')
      expect(task.pid).toBeGreaterThan(0)
      expect(await task.status()).toBe('created')
      const early = task.wait()
      await task.start()
      expect((await early).status).toBe(3)
      expect((await task.wait()).status).toBe(3)
      expect(await task.status()).toBe('stopped')
      const exit = await task.delete()
      expect(exit.status).toBe(3)
      expect(Math.abs(Date.now() - exit.at.getTime())).toBeLessThan(60_000)
    })

    it('forgets a deleted task, once and for all', async () => {
      const task = await create('exit3')
      await task.start()
      await task.wait()
      await task.delete()
      expect((await task.delete()).status).toBe(3)
      await expect(task.kill(15)).rejects.toMatchObject({ kind: 'not-found' })
      await expect(task.status()).rejects.toMatchObject({ kind: 'not-found' })
      await expect(exec(task, 'late', 'exit3')).rejects.toMatchObject({ kind: 'not-found' })
    })

    it('deletes a task that was never started', async () => {
      const task = await create('wait')
      await task.delete()
      await expect(task.status()).rejects.toMatchObject({ kind: 'not-found' })
    })

    it('begins while the root file system is still being prepared, and gives up with it', async () => {
      const { rootfs, ...bundle } = await harness.bundle('exit3', none)
      const prepared = Promise.withResolvers<Awaited<typeof rootfs>>()
      const creation = harness.runtime.create({ ...bundle, rootfs: prepared.promise, stdio: none })
      prepared.resolve(await rootfs)
      const task = await creation
      tasks.push(task)
      await task.start()
      expect((await task.wait()).status).toBe(3)

      const other = await harness.bundle('exit3', none)
      const failure = new Error('no root')
      await expect(harness.runtime.create({ ...other, rootfs: Promise.reject(failure), stdio: none })).rejects.toBe(failure)
      expect(await harness.runtime.reconnect({ ...other, stdio: none })).toBeUndefined()
    })

    it('keeps stdout and stderr apart and ends both', async () => {
      const task = await create('print')
      const output = Promise.all([text(task.stdout), text(task.stderr!)])
      await task.start()
      expect(await output).toEqual(['out\n', 'err\n'])
      expect(task.stdin).toBeUndefined()
    })

    it('carries stdin byte for byte and closes it', async () => {
      const task = await create('cat', piped)
      const sent = randomBytes(3_000_001)
      const received = bytes(task.stdout)
      await task.start()
      task.stdin!.end(sent)
      expect((await received).equals(sent)).toBe(true)
      expect((await task.wait()).status).toBe(0)
    })

    it('delivers signals', async () => {
      const task = await create('wait')
      await task.start()
      await lineOf(task.stdout)
      await task.kill(15)
      expect((await task.wait()).status).toBe(9)
      await expect(task.kill(15)).rejects.toMatchObject({ kind: 'not-found' })
    })

    it('says 128 + n for a process that a signal ended', async () => {
      const task = await create('wait')
      await task.start()
      await task.kill(9)
      expect((await task.wait()).status).toBe(137)
    })

    it('says that a command does not exist, and leaves nothing', async () => {
      const bundle = await harness.bundle('missing', none)
      const run = async () => {
        const task = await harness.runtime.create({ ...bundle, stdio: none })
        tasks.push(task)
        await task.start()
      }
      await expect(run()).rejects.toMatchObject({ kind: 'not-found', message: expect.stringContaining('/no/such/program') as string })
    })

    it('makes nothing for an aborted caller', async () => {
      const bundle = await harness.bundle('wait', none)
      await expect(harness.runtime.create({ ...bundle, stdio: none, signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
      expect(await harness.runtime.reconnect({ ...bundle, stdio: none })).toBeUndefined()
    })

    it('runs further processes', async () => {
      const task = await create('wait')
      await task.start()
      const process = await exec(task, 'one', 'print')
      expect(task.execs().map(({ id }) => id)).toEqual(['one'])
      const output = Promise.all([text(process.stdout), text(process.stderr!)])
      await process.start()
      expect(process.pid).toBeGreaterThan(0)
      expect(await output).toEqual(['out\n', 'err\n'])
      expect((await process.wait()).status).toBe(0)
      expect((await process.delete()).status).toBe(0)
      expect((await process.delete()).status).toBe(0)
      expect(task.execs()).toEqual([])

      const second = await exec(task, 'two', 'exit3')
      await second.start()
      expect((await second.wait()).status).toBe(3)
      const echo = await exec(task, 'three', 'cat', piped)
      await echo.start()
      echo.stdin!.end('to and fro')
      expect(await text(echo.stdout)).toBe('to and fro')
      expect(await task.status()).toBe('running')
    })

    it('loses no input that is sent as soon as a process has started', async () => {
      const task = await create('wait')
      await task.start()
      const sent = Array.from({ length: 8 }, (_, n) => `input ${n}`)
      const received = sent.map(async (input, n) => {
        const process = await exec(task, `cat-${n}`, 'cat', piped)
        await process.start()
        process.stdin!.end(input)
        return text(process.stdout)
      })
      expect(await Promise.all(received)).toEqual(sent)
    })

    it('says that an exec’s command does not exist, and the task goes on', async () => {
      const task = await create('wait')
      await task.start()
      const run = async () => {
        const process = await exec(task, 'absent', 'missing')
        await process.start()
      }
      await expect(run()).rejects.toMatchObject({ kind: 'not-found', message: expect.stringContaining('/no/such/program') as string })
      for (const process of task.execs()) await process.delete()
      const after = await exec(task, 'absent', 'exit3')
      await after.start()
      expect((await after.wait()).status).toBe(3)
    })

    it('ends the output of an exec that could not be started, for who reads it already', async () => {
      const task = await create('wait')
      await task.start()
      const over = (async () => {
        const process = await exec(task, 'absent', 'missing', piped)
        const ends = [process.stdout, process.stderr!].map((stream) => new Promise((resolve) => stream.resume().once('close', resolve)))
        await process.start().catch(() => {})
        await process.delete().catch(() => {})
        await Promise.all(ends)
      })()
      const refused = await over.catch((error: unknown) => error)
      expect([undefined, expect.objectContaining({ kind: 'not-found' })]).toContainEqual(refused)
    })

    it('refuses an exec in a task that has ended', async () => {
      const task = await create('exit3')
      await task.start()
      await task.wait()
      await expect(exec(task, 'too-late', 'print')).rejects.toMatchObject({ kind: 'conflict' })
    })

    it('ends its execs with the task', async () => {
      const task = await create('wait')
      await task.start()
      const process = await exec(task, 'beside', 'wait')
      await process.start()
      await lineOf(process.stdout)
      await task.kill(9)
      await task.wait()
      expect((await process.wait()).status).toBe(137)
    })

    it('gives a terminal that follows resizing', async () => {
      const task = await create('size', terminal)
      expect(task.stderr).toBeUndefined()
      await task.start()
      await task.resize({ width: 101, height: 43 })
      const output = text(task.stdout)
      task.stdin!.write('\n')
      expect(await output).toContain('43 101')
    })

    it('pauses and resumes', async () => {
      const task = await create('wait')
      await task.start()
      await task.pause()
      expect(await task.status()).toBe('paused')
      await task.resume()
      expect(await task.status()).toBe('running')
    })

    const possible = canCheckpoint ? ['where the machine can make one'] : []
    const impossible = canCheckpoint ? [] : ['where the machine cannot make one']
    it.each(possible)('goes on from a checkpoint where it was, %s', async () => {
      const bundle = await harness.bundle('count', piped)
      const task = await harness.runtime.create({ ...bundle, stdio: piped })
      tasks.push(task)
      await task.start()
      task.stdin!.write('\n')
      expect(await lineOf(task.stdout)).toBe('1')
      await task.checkpoint({ directory: `${bundle.bundle}-checkpoint`, exit: true })
      expect((await task.wait()).status).toBe(137)
      await task.delete()
      const restored = await harness.runtime.create({ ...bundle, stdio: piped, checkpoint: `${bundle.bundle}-checkpoint` })
      tasks.push(restored)
      await restored.start()
      expect(restored.pid).toBeGreaterThan(0)
      restored.stdin!.write('\n')
      expect(await lineOf(restored.stdout)).toBe('2')
    })

    it.each(possible)('runs on after a checkpoint unless told to end, %s', async () => {
      const bundle = await harness.bundle('count', piped)
      const task = await harness.runtime.create({ ...bundle, stdio: piped })
      tasks.push(task)
      await task.start()
      await task.checkpoint({ directory: `${bundle.bundle}-checkpoint`, exit: false })
      expect(await task.status()).toBe('running')
      task.stdin!.write('\n')
      expect(await lineOf(task.stdout)).toBe('1')
    })

    it.each(impossible)('refuses a checkpoint, and the task runs on, %s', async () => {
      const bundle = await harness.bundle('count', piped)
      const task = await harness.runtime.create({ ...bundle, stdio: piped })
      tasks.push(task)
      await task.start()
      await expect(task.checkpoint({ directory: `${bundle.bundle}-checkpoint`, exit: true })).rejects.toBeInstanceOf(Error)
      expect(await task.status()).toBe('running')
      task.stdin!.write('\n')
      expect(await lineOf(task.stdout)).toBe('1')
    })

    it('makes no checkpoint of a task that has ended, and goes on from none that is not there', async () => {
      const bundle = await harness.bundle('exit3', none)
      const task = await harness.runtime.create({ ...bundle, stdio: none })
      tasks.push(task)
      await task.start()
      await task.wait()
      const refused = await task.checkpoint({ directory: `${bundle.bundle}-checkpoint`, exit: false }).catch((error: unknown) => error)
      expect(canCheckpoint ? ['conflict'] : ['conflict', 'unavailable']).toContain((refused as { kind?: string }).kind)
      await task.delete()
      await expect(harness.runtime.create({ ...bundle, stdio: none, checkpoint: `${bundle.bundle}-none` })).rejects.toMatchObject({ kind: 'not-found' })
      expect(await harness.runtime.reconnect({ ...bundle, stdio: none })).toBeUndefined()
    })

    it('lists process ids', async () => {
      const task = await create('wait')
      await task.start()
      await lineOf(task.stdout)
      const process = await exec(task, 'listed', 'wait')
      await process.start()
      await lineOf(process.stdout)
      const pids = await task.pids()
      expect(pids).toContain(task.pid)
      expect(pids).toContain(process.pid)
    })

    it('finds a running task again, with what it wrote meanwhile', async () => {
      const bundle = await harness.bundle('late', piped)
      const task = await harness.runtime.create({ ...bundle, stdio: piped })
      await task.start()
      await harness.restart()
      const found = (await harness.runtime.reconnect({ ...bundle, stdio: piped }))!
      tasks.push(found)
      expect(found.pid).toBe(task.pid)
      expect(await found.status()).toBe('running')
      const output = text(found.stdout)
      found.stdin!.write('go\n')
      expect(await output).toBe('late\n')
      expect((await found.wait()).status).toBe(5)
    })

    it('finds the exit status and the output of a task that ended meanwhile', async () => {
      const bundle = await harness.bundle('print', none)
      const task = await harness.runtime.create({ ...bundle, stdio: none })
      await task.start()
      await task.wait()
      await harness.restart()
      const found = (await harness.runtime.reconnect({ ...bundle, stdio: none }))!
      tasks.push(found)
      expect(await found.status()).toBe('stopped')
      expect(await Promise.all([text(found.stdout), text(found.stderr!)])).toEqual(['out\n', 'err\n'])
      expect((await found.wait()).status).toBe(0)
    })

    it('finds execs again', async () => {
      const bundle = await harness.bundle('wait', none)
      const task = await harness.runtime.create({ ...bundle, stdio: none })
      await task.start()
      const process = await exec(task, 'kept', 'late', piped)
      await process.start()
      await harness.restart()
      const found = (await harness.runtime.reconnect({ ...bundle, stdio: none, execs: [{ id: 'kept', stdio: piped }, { id: 'unknown', stdio: none }] }))!
      tasks.push(found)
      const [again, ...others] = found.execs()
      expect(others).toEqual([])
      expect(again!.id).toBe('kept')
      again!.stdin!.write('go\n')
      expect((await again!.wait()).status).toBe(5)
    })

    it('destroys a task, running or not there', async () => {
      const bundle = await harness.bundle('wait', none)
      const task = await harness.runtime.create({ ...bundle, stdio: none })
      await task.start()
      await harness.runtime.destroy(bundle)
      expect((await task.wait()).status).toBe(137)
      expect(await harness.runtime.reconnect({ ...bundle, stdio: none })).toBeUndefined()
      await harness.runtime.destroy(bundle)
    })

    it('knows no task of a bundle that never ran', async () => {
      const bundle = await harness.bundle('print', none)
      expect(await harness.runtime.reconnect({ ...bundle, stdio: none })).toBeUndefined()
      // As after a reboot of the machine.
      expect(await harness.runtime.reconnect({ ...bundle, bundle: `${bundle.bundle}-gone`, stdio: none })).toBeUndefined()
    })
  })
}

async function end(task: Task): Promise<void> {
  await task.kill(9).catch(() => {}) // it may have ended
  await task.wait()
  await task.delete()
}

async function bytes(stream: Readable): Promise<Buffer> {
  return Buffer.concat((await stream.toArray()) as Buffer[])
}

async function text(stream: Readable): Promise<string> {
  return (await bytes(stream)).toString()
}

/** The first line; the stream stays open for more. */
async function lineOf(stream: Readable): Promise<string> {
  let seen = ''
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    seen += String(chunk)
    const newline = seen.indexOf('\n')
    if (newline >= 0) return seen.slice(0, newline)
  }
  throw new Error(`stream ended before a line did: ${JSON.stringify(seen)}`)
}
