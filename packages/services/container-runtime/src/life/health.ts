import type { Health as ApiHealth, HealthConfig } from '@berth/api-types'
import { formatNano, messageOf, nowNano } from '@berth/core'

export interface ProbeResult {
  exitCode: number
  output: string
}

export interface HealthMonitorOptions {
  config: HealthConfig
  /** Runs the command in the container; aborted when it takes too long. */
  probe(command: string[], signal: AbortSignal): Promise<ProbeResult>
  shell: readonly string[]
  /** Where it stands: as it was recorded, or that of a container that was just started. */
  health: Health
  /** When the container was started, in milliseconds since the epoch. */
  startedAt: number
  /** Nothing can be probed now: the container is neither better nor worse for it. */
  isPaused(): boolean
  /** After every probe, before {@link HealthMonitorOptions.onStatus}. */
  onProbed(health: Health): void
  onStatus(status: string): void
}

type Health = NonNullable<ApiHealth>

const second = 1000
const outputLimit = 4096
const keptResults = 5
/** How long a probe that took too long may take to be killed; one that does not end even then fails all the same. */
const endGrace = 3 * second

const milliseconds = (nanoseconds: number | null | undefined, fallback: number): number => (nanoseconds ? nanoseconds / 1e6 : fallback)

/** The command of a health check, or undefined when there is none. */
export function healthCommand(config: HealthConfig | null | undefined, shell: readonly string[]): string[] | undefined {
  const [kind, ...rest] = config?.Test ?? []
  if (kind === 'CMD' && rest.length > 0) return rest
  if (kind === 'CMD-SHELL' && rest[0]) return [...shell, rest[0]]
  return undefined
}

/** Probes a running container at intervals until it is disposed. */
export class HealthMonitor implements Disposable {
  readonly #options: HealthMonitorOptions
  readonly #command: string[]
  readonly #log: NonNullable<Health['Log']>
  readonly #closed = new AbortController()
  #status: string
  #failingStreak: number
  #timer: NodeJS.Timeout | undefined
  /** Settles when the last probe has really ended. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: HealthMonitorOptions) {
    this.#options = options
    this.#command = healthCommand(options.config, options.shell) ?? []
    const { Status = 'starting', FailingStreak = 0, Log } = options.health
    this.#status = Status
    this.#failingStreak = FailingStreak
    this.#log = [...(Log ?? [])]
    this.#schedule()
  }

  get status(): string {
    return this.#status
  }

  get #health(): Health {
    return { Status: this.#status as Health['Status'], FailingStreak: this.#failingStreak, Log: [...this.#log] }
  }

  [Symbol.dispose](): void {
    this.#closed.abort()
    clearTimeout(this.#timer)
  }

  get #isStarting(): boolean {
    return this.#status === 'starting' && Date.now() - this.#options.startedAt < milliseconds(this.#options.config.StartPeriod, 0)
  }

  #schedule(): void {
    if (this.#closed.signal.aborted) return
    const { Interval, StartInterval } = this.#options.config
    const wait = this.#isStarting ? milliseconds(StartInterval, 5 * second) : milliseconds(Interval, 30 * second)
    this.#timer = setTimeout(() => void this.#probe().finally(() => this.#schedule()), wait)
    this.#timer.unref()
  }

  async #probe(): Promise<void> {
    if (this.#options.isPaused()) return
    const timeout = milliseconds(this.#options.config.Timeout, 30 * second)
    const begun = nowNano()
    // A probe inside the start period cannot fail the container, one that passes ends the period.
    const isStarting = this.#isStarting
    const limit = AbortSignal.timeout(timeout)
    let wasPaused = false
    limit.addEventListener('abort', () => (wasPaused = this.#options.isPaused()))
    let result: ProbeResult
    try {
      result = await Promise.race([this.#run(AbortSignal.any([limit, this.#closed.signal])), this.#given(timeout + endGrace)])
    } catch (error) {
      result = { exitCode: -1, output: limit.aborted ? '' : messageOf(error) }
    }
    if (limit.aborted) {
      const late = `Health check exceeded timeout (${timeout < second ? `${timeout}ms` : `${timeout / second}s`})`
      result = { exitCode: -1, output: result.output ? `${late}: ${result.output}` : late }
    }
    if (this.#closed.signal.aborted || wasPaused || this.#options.isPaused()) return
    const output = result.output.length > outputLimit ? `${result.output.slice(0, outputLimit)}...` : result.output
    this.#log.push({ Start: formatNano(begun), End: formatNano(nowNano()), ExitCode: result.exitCode, Output: output })
    if (this.#log.length > keptResults) this.#log.shift()
    const before = this.#status
    this.#judge(result.exitCode === 0, isStarting)
    this.#options.onProbed(this.#health)
    if (this.#status !== before) this.#options.onStatus(this.#status)
  }

  /** One after the other: a probe whose start hangs cannot be killed, and those after it do not pile up behind it. */
  #run(signal: AbortSignal): Promise<ProbeResult> {
    const probe = this.#last.then(async () => {
      signal.throwIfAborted()
      return this.#options.probe(this.#command, signal)
    })
    this.#last = probe.catch(() => {})
    return probe
  }

  /** Throws after so many milliseconds, or when the monitor is disposed. */
  async #given(milliseconds: number): Promise<never> {
    const over = AbortSignal.any([AbortSignal.timeout(milliseconds), this.#closed.signal])
    await new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }))
    throw over.reason
  }

  #judge(isHealthy: boolean, isStarting: boolean): void {
    if (isHealthy) {
      this.#failingStreak = 0
      this.#status = 'healthy'
    } else if (!isStarting) {
      this.#failingStreak++
      if (this.#failingStreak >= (this.#options.config.Retries || 3)) this.#status = 'unhealthy'
    }
  }
}
