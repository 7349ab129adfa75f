import type { ContainerStatsResponse } from '@berth/api-types'
import type { Container } from '../container.ts'
import type { StatsSampler } from './stats-sampler.ts'

export interface StatsOptions {
  stream: boolean
  /** A single sample without waiting for a second one to compare with. */
  oneShot: boolean
  signal: AbortSignal
}

/** Milliseconds that a processor's share is told from at least. */
const shortest = 500

/** One sample, or one a second until the container is gone or `signal` aborts; each carries the processor times of the one before. */
export async function* statsOf(sampler: StatsSampler, container: Container, { stream, oneShot, signal }: StatsOptions): AsyncGenerator<ContainerStatsResponse> {
  if (stream) return yield* sampler.watch(container, signal)
  if (oneShot || !container.run) return yield await sampler.now(container)
  // Without a comparison the processor's share cannot be told.
  const from = performance.now() + shortest
  for await (const sample of sampler.watch(container, signal)) {
    if (performance.now() < from) continue
    return yield sample
  }
}
