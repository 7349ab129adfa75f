import { BerthError } from '@berth/core'
import type { Container } from '../container.ts'
import { type Context, emit, noteState } from '../context.ts'
import { endRun, expectEnd, noAnswer, patienceOf, signalRun, thaw } from './end-run.ts'
import { checkActive } from '../execs/execs.ts'
import type { Lifecycle } from './lifecycle.ts'
import { parseSignal, stopSignalOf, stopTimeoutOf } from './signals.ts'
import type { Intent } from './state-machine.ts'
import { endsWithin } from './within.ts'

const sigkill = 9

function notRunning({ id }: Container): BerthError {
  return new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `Container ${id} is not running`)
}

/** Does something to a container that is recorded from its beginning until its end, whichever it is. */
async function intend(ctx: Context, container: Container, intent: Intent, work: () => Promise<void>): Promise<void> {
  container.state.intent = intent
  noteState(ctx, container)
  try {
    await work()
  } finally {
    // A transition that it brought about has recorded its end already.
    if (container.state.intent === intent && !ctx.closed.aborted) {
      container.state.intent = undefined
      noteState(ctx, container)
    }
  }
}

/** What is being started is neither running nor not: who asks for its end waits for what becomes of it. */
async function settled(ctx: Context, container: Container): Promise<void> {
  if (container.state.status === 'starting') await ctx.locks.run(container.id, async () => {})
}

export interface StopOptions {
  /** Seconds until SIGKILL; the container's own when absent, negative for never. */
  timeout?: number | undefined
  signal?: string | undefined
  /** The engine ends: its restart policy starts it again with the next engine. */
  byEngine?: boolean
}

type EndIntent = Extract<Intent, { signal: number }>

function endIntent(kind: EndIntent['kind'], container: Container, { timeout, signal, byEngine }: StopOptions): EndIntent {
  const { config } = container.record.definition
  return { kind, signal: signal ? parseSignal(signal) : stopSignalOf(config), timeout: timeout ?? stopTimeoutOf(config), ...(byEngine ? { byEngine } : {}) }
}

/** Ends a container in an orderly way, then by force. Throws `not-modified` when it does not run, `internal` when it cannot be killed. */
export async function stopContainer(ctx: Context, lifecycle: Lifecycle, container: Container, options: StopOptions): Promise<void> {
  const intent = endIntent('stop', container, options)
  await settled(ctx, container)
  if (!container.isRunning) throw new BerthError('not-modified', 'CONTAINER_NOT_RUNNING', `Container ${container.id} is not running`)
  container.state.manuallyStopped = !options.byEngine
  await intend(ctx, container, intent, async () => {
    ctx.failPoint('stop.recorded')
    await endContainer(ctx, lifecycle, container, intent)
  })
}

async function endContainer(ctx: Context, lifecycle: Lifecycle, container: Container, how: EndIntent): Promise<void> {
  if (await lifecycle.cancelRestart(container)) return emit(ctx, container, 'stop')
  const { run } = container
  // Between the two a start of the restart policy may have ended it already.
  if (!run && !container.isRunning) return
  if (!run) throw noAnswer(container, 'the process that supervises it does not answer')
  await endRun(ctx, container, run, how)
  emit(ctx, container, 'stop')
  await run.over
}

/** Stops when it runs, starts, and tells so. */
export async function restartContainer(ctx: Context, lifecycle: Lifecycle, container: Container, options: StopOptions): Promise<void> {
  const intent = endIntent('restart', container, options)
  await settled(ctx, container)
  await intend(ctx, container, intent, async () => {
    ctx.failPoint('restart.recorded')
    if (container.isRunning) await endContainer(ctx, lifecycle, container, intent)
    ctx.failPoint('restart.stopped')
    await lifecycle.start(container)
  })
  emit(ctx, container, 'restart')
}

/** Throws `conflict` when it does not run, `internal` when SIGKILL does not end it. */
export async function killContainer(ctx: Context, lifecycle: Lifecycle, container: Container, ref: string, text: string | undefined): Promise<void> {
  const signal = text ? parseSignal(text) : sigkill
  const isStop = signal === sigkill || signal === stopSignalOf(container.record.definition.config)
  await settled(ctx, container)
  const work = async (): Promise<void> => {
    if (isStop && (await lifecycle.cancelRestart(container))) return
    const { run } = container
    if (!run) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `Cannot kill container: ${ref}: ${notRunning(container).message}`)
    await signalRun(ctx, container, run, signal)
    ctx.failPoint('kill.signalled')
    if (isStop) await thaw(ctx, container, run)
    // As Docker, a kill answers when the container has ended.
    if (signal !== sigkill) return
    await expectEnd(ctx, container, run)
    await run.over
  }
  if (!isStop || !container.isRunning) return work()
  container.state.manuallyStopped = true
  // Only SIGKILL is done when the process has ended; a stop signal may be taken in another way.
  if (signal === sigkill) return intend(ctx, container, { kind: 'kill' }, async () => (ctx.failPoint('kill.recorded'), work()))
  noteState(ctx, container)
  await work()
}

export async function pauseContainer(ctx: Context, container: Container): Promise<void> {
  await ctx.locks.run(container.id, async () => {
    if (container.state.status === 'paused') throw new BerthError('conflict', 'CONTAINER_PAUSED', `Container ${container.id} is already paused`)
    checkActive(container)
    await intend(ctx, container, { kind: 'pause' }, async () => {
      ctx.failPoint('pause.recorded')
      // One that is frozen in the middle of its start holds up its supervisor until it is thawed.
      const beginning = [...container.execs.values()].filter(({ status }) => status === 'starting').map(({ started }) => started)
      await endsWithin(Promise.all(beginning), patienceOf(ctx))
      await container.run?.task.pause()
      ctx.failPoint('pause.frozen')
      container.become('paused', { intent: undefined })
      noteState(ctx, container)
    })
    emit(ctx, container, 'pause')
  })
}

export async function unpauseContainer(ctx: Context, container: Container): Promise<void> {
  await ctx.locks.run(container.id, async () => {
    const { run } = container
    if (!run || container.state.status !== 'paused') throw new BerthError('conflict', 'CONTAINER_NOT_PAUSED', `Container ${container.id} is not paused`)
    await intend(ctx, container, { kind: 'unpause' }, async () => {
      ctx.failPoint('unpause.recorded')
      await run.task.resume()
      ctx.failPoint('unpause.thawed')
      container.become('running', { intent: undefined })
      noteState(ctx, container)
    })
    emit(ctx, container, 'unpause')
  })
}

export async function resizeContainer(ctx: Context, container: Container, size: { width: number; height: number }): Promise<void> {
  if (!container.run) throw notRunning(container)
  await container.run.task.resize(size)
  emit(ctx, container, 'resize', { height: String(size.height), width: String(size.width) })
}
