import { BerthError, isKind } from '@berth/core'
import type { Container, Run } from './container.ts'
import { type Context, emit, noteState } from './context.ts'
import { checkActive } from './execs.ts'
import type { Lifecycle } from './lifecycle.ts'
import { parseSignal } from './signals.ts'

const sigterm = 15
const sigkill = 9
/** Seconds, as in Docker. */
const defaultStopTimeout = 10
const longestTimer = 2 ** 31 - 1

function notRunning({ id }: Container): BerthError {
  return new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `Container ${id} is not running`)
}

/** A signal to the main process; one to a process that has just ended is no failure. */
async function signalTask(ctx: Context, container: Container, run: Run, signal: number): Promise<void> {
  try {
    await run.task.kill(signal)
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error
  }
  emit(ctx, container, 'kill', { signal: String(signal) })
}

/** Whether it has ended within `seconds`; negative waits for ever. */
async function endsWithin(run: Run, seconds: number): Promise<boolean> {
  if (seconds < 0) return run.ended.then(() => true)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), Math.min(seconds * 1000, longestTimer))))
  try {
    return await Promise.race([run.ended.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

export interface StopOptions {
  /** Seconds until SIGKILL; the container's own when absent, negative for never. */
  timeout?: number | undefined
  signal?: string | undefined
  /** The engine ends: its restart policy starts it again with the next engine. */
  byEngine?: boolean
}

/** Ends a container in an orderly way, then by force. Throws `not-modified` when it does not run. */
export async function stopContainer(ctx: Context, lifecycle: Lifecycle, container: Container, options: StopOptions): Promise<void> {
  const { config } = container.record.definition
  const text = options.signal || config.StopSignal
  const signal = text ? parseSignal(text) : sigterm
  const timeout = options.timeout ?? config.StopTimeout ?? defaultStopTimeout
  if (!container.isRunning) throw new BerthError('not-modified', 'CONTAINER_NOT_RUNNING', `Container ${container.id} is not running`)
  container.isStopping = true
  container.state.manuallyStopped = !options.byEngine
  noteState(ctx, container)
  try {
    await endContainer(ctx, lifecycle, container, signal, timeout)
  } finally {
    container.isStopping = false
  }
}

async function endContainer(ctx: Context, lifecycle: Lifecycle, container: Container, signal: number, timeout: number): Promise<void> {
  if (await lifecycle.cancelRestart(container)) return emit(ctx, container, 'stop')
  const { run } = container
  // Between the two a start of the restart policy may have ended it already.
  if (!run) return
  await signalTask(ctx, container, run, signal)
  if (container.state.status === 'paused') await thaw(ctx, container, run)
  if (!(await endsWithin(run, timeout))) {
    await signalTask(ctx, container, run, sigkill)
    await run.ended
  }
  emit(ctx, container, 'stop')
}

async function thaw(ctx: Context, container: Container, run: Run): Promise<void> {
  await run.task.resume().catch((error: unknown) => {
    if (!isKind(error, 'not-found')) throw error
  })
  if (container.state.status !== 'paused') return
  container.state.status = 'running'
  noteState(ctx, container)
}

/** Stops when it runs, starts, and tells so. */
export async function restartContainer(ctx: Context, lifecycle: Lifecycle, container: Container, options: StopOptions): Promise<void> {
  container.isRestarted = true
  try {
    if (container.isRunning) await stopContainer(ctx, lifecycle, container, options)
  } catch (error) {
    if (!isKind(error, 'not-modified')) throw error
  } finally {
    container.isRestarted = false
  }
  await lifecycle.start(container)
  emit(ctx, container, 'restart')
}

/** Throws `conflict` when it does not run. */
export async function killContainer(ctx: Context, lifecycle: Lifecycle, container: Container, ref: string, text: string | undefined): Promise<void> {
  const signal = text ? parseSignal(text) : sigkill
  const { StopSignal } = container.record.definition.config
  const isStop = signal === sigkill || signal === (StopSignal ? parseSignal(StopSignal) : sigterm)
  if (isStop && container.isRunning) {
    container.state.manuallyStopped = true
    noteState(ctx, container)
  }
  if (isStop && (await lifecycle.cancelRestart(container))) return
  const { run } = container
  if (!run) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `Cannot kill container: ${ref}: ${notRunning(container).message}`)
  await signalTask(ctx, container, run, signal)
  if (isStop && container.state.status === 'paused') await thaw(ctx, container, run)
  // As Docker, a kill answers when the container has ended.
  if (signal === sigkill) await run.ended
}

export async function pauseContainer(ctx: Context, container: Container): Promise<void> {
  await ctx.locks.run(container.id, async () => {
    if (container.state.status === 'paused') throw new BerthError('conflict', 'CONTAINER_PAUSED', `Container ${container.id} is already paused`)
    checkActive(container)
    await container.run?.task.pause()
    container.state.status = 'paused'
    noteState(ctx, container)
    emit(ctx, container, 'pause')
  })
}

export async function unpauseContainer(ctx: Context, container: Container): Promise<void> {
  await ctx.locks.run(container.id, async () => {
    if (!container.run || container.state.status !== 'paused') {
      throw new BerthError('conflict', 'CONTAINER_NOT_PAUSED', `Container ${container.id} is not paused`)
    }
    await container.run.task.resume()
    container.state.status = 'running'
    noteState(ctx, container)
    emit(ctx, container, 'unpause')
  })
}

export async function resizeContainer(ctx: Context, container: Container, size: { width: number; height: number }): Promise<void> {
  if (!container.run) throw notRunning(container)
  await container.run.task.resize(size)
  emit(ctx, container, 'resize', { height: String(size.height), width: String(size.width) })
}
