import type { Task } from '@berth/oci-runtime'
import type { ContainerStreams } from './streams/container-streams.ts'
import type { Exec } from './execs/exec-process.ts'
import type { HealthMonitor } from './life/health.ts'
import type { LogWriter } from './logs/log-writer.ts'
import type { ContainerRecord, ContainerState } from './records.ts'
import { checkMove, type ContainerStatus } from './life/state-machine.ts'

/** From the start of a container's task until its end. */
export interface Run {
  task: Task
  /** Settles when the end of the task is recorded and everything it held is given back. */
  ended: Promise<void>
  /** Settles when its container is gone too, if that was to be removed at its end. */
  over: Promise<void>
  /** The last signal that is on its way: its end is told after it. */
  signalled: Promise<void>
  /** It became unhealthy, and is ended to be started again. */
  isUnhealthy: boolean
  /** It has ended, and its container goes with it: it holds its task until then. */
  isLeaving: boolean
}

export type WaitCondition = 'not-running' | 'next-exit' | 'removed'

export interface WaitResult {
  StatusCode: number
  Error?: { Message: string }
}

interface Waiter {
  condition: WaitCondition
  resolve(result: WaitResult): void
}

/** A container in memory: its record, and while it runs the holds on its task. Its transitions are made by the lifecycle, one at a time. */
export class Container {
  readonly record: ContainerRecord
  run: Run | undefined
  /** Made by the first client that attaches or by the start, and dropped at the end of the run. */
  streams: ContainerStreams | undefined
  /** Keeps the output of the run that goes on, or what could not be kept yet of those before; undefined else, and with the log driver `none`. */
  logWriter: LogWriter | undefined
  /** Execs that have not ended, by ID. */
  readonly execs = new Map<string, Exec>()
  health: HealthMonitor | undefined
  /** Where its log is; found out when first asked for. */
  logPath: string | undefined
  /** What inspect tells of its definition; made when first asked for, and again for another definition. */
  described: { definition: ContainerRecord['definition']; as: object } | undefined
  /** A start that the restart policy has put off. */
  pendingRestart: { timer: NodeJS.Timeout } | undefined
  /** A removal is under way: nothing starts any more. */
  isRemoving = false
  readonly #waiters = new Set<Waiter>()

  constructor(record: ContainerRecord) {
    this.record = record
  }

  get id(): string {
    return this.record.id
  }

  get name(): string {
    return this.record.name
  }

  get state(): ContainerState {
    return this.record.state
  }

  /** It is being stopped: its restart policy does not apply. */
  get isStopping(): boolean {
    return this.state.intent?.kind === 'stop' || this.isRestarted
  }

  /** A client stops it to start it again at once. */
  get isRestarted(): boolean {
    return this.state.intent?.kind === 'restart'
  }

  /** Changes its state in memory. Throws `internal` for a transition that does not exist. */
  become(status: ContainerStatus, changes: Partial<Omit<ContainerState, 'status'>> = {}): void {
    checkMove(this.id, this.state.status, status)
    Object.assign(this.state, changes, { status })
  }

  /** As Docker's `State.Running`: also while paused or between restarts. */
  get isRunning(): boolean {
    return ['running', 'paused', 'restarting'].includes(this.state.status)
  }

  /** The status as clients see it. */
  get status(): string {
    if (this.isRemoving || this.record.phase === 'removing' || this.record.phase === 'removed') return this.state.status === 'dead' ? 'dead' : 'removing'
    return this.state.status === 'starting' ? 'created' : this.state.status
  }

  /** Answers at once when the condition is met already. `cancel` forgets the wait. */
  wait(condition: WaitCondition): { result: Promise<WaitResult>; cancel(): void } {
    if (condition === 'not-running' && !this.isRunning) return { result: Promise.resolve({ StatusCode: this.state.exitCode }), cancel() {} }
    const { promise: result, resolve } = Promise.withResolvers<WaitResult>()
    const waiter: Waiter = { condition, resolve }
    this.#waiters.add(waiter)
    return { result, cancel: () => void this.#waiters.delete(waiter) }
  }

  /** Answers who waits for the end of a run, or for the removal. */
  settleWaiters(what: 'exit' | 'removal', result: WaitResult): void {
    for (const waiter of this.#waiters) {
      if (what === 'exit' && waiter.condition === 'removed') continue
      this.#waiters.delete(waiter)
      waiter.resolve(result)
    }
  }
}
