import { BerthError, isKind } from '@berth/core'
import type { Container, Run } from '../container.ts'
import { type Context, emit, noteState } from '../context.ts'
import { endsWithin } from './within.ts'

const sigkill = 9

/** Milliseconds that a killed process, or a supervisor that is asked for something, is given. */
export function patienceOf({ options }: Context): number {
  return options.patience ?? 10_000
}

/** A signal to the main process; one to a process that has just ended is no failure. */
export async function signalRun(ctx: Context, container: Container, run: Run, signal: number): Promise<void> {
  const sent = run.task.kill(signal).catch((error: unknown) => {
    if (!isKind(error, 'not-found')) throw error
  })
  const told = sent.then(() => emit(ctx, container, 'kill', { signal: String(signal) }))
  run.signalled = told.catch(() => {})
  if (!(await endsWithin(told, patienceOf(ctx)))) throw noAnswer(container, 'the process that supervises it does not answer')
  await told
}

/** A frozen process takes no signal. Whether it was frozen. */
export async function thaw(ctx: Context, container: Container, run: Run): Promise<boolean> {
  if (container.state.status !== 'paused') return false
  await run.task.resume().catch(async (error: unknown) => {
    // SIGKILL thaws with some kernels and runtimes.
    if ((await run.task.status().catch(() => 'stopped')) === 'paused') throw error
  })
  if (container.state.status !== 'paused') return false
  container.become('running')
  noteState(ctx, container)
  return true
}

/** Waits for the end of a run that was killed. Throws `internal` with Docker's words when it does not come. */
export async function expectEnd(ctx: Context, container: Container, run: Run): Promise<void> {
  if (!(await endsWithin(run.ended, patienceOf(ctx)))) throw noAnswer(container, 'tried to kill container, but did not receive an exit event')
}

/** Asks a process to end, and after `timeout` seconds makes it; negative asks only. */
export async function endRun(ctx: Context, container: Container, run: Run, { signal, timeout }: { signal: number; timeout: number }): Promise<void> {
  await signalRun(ctx, container, run, signal)
  ctx.failPoint('stop.signalled')
  if (await thaw(ctx, container, run)) emit(ctx, container, 'unpause')
  if (timeout < 0) return run.ended
  if (await endsWithin(run.ended, timeout * 1000)) return
  await signalRun(ctx, container, run, sigkill)
  await expectEnd(ctx, container, run)
}

/** For a process that is not ended in time. */
export function noAnswer({ id }: Container, reason: string): BerthError {
  return new BerthError('internal', 'CONTAINER_UNKILLABLE', `Cannot kill container: ${id}: ${reason}`)
}
