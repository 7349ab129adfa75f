import type { RestartPolicy } from '@berth/api-types'

const firstDelay = 100
const longestDelay = 60_000
/** A run that lasted this long was a good one: the delay begins anew. In milliseconds. */
const goodRun = 10_000

/** Whether a container whose task ended by itself is started again. */
export function shouldRestart(policy: RestartPolicy | undefined, ended: { exitCode: number; restartCount: number; manuallyStopped: boolean }): boolean {
  const { exitCode, restartCount, manuallyStopped } = ended
  if (manuallyStopped) return false
  switch (policy?.Name) {
    case 'always':
    case 'unless-stopped':
      return true
    case 'on-failure':
      return exitCode !== 0 && (!policy.MaximumRetryCount || restartCount < policy.MaximumRetryCount)
    default:
      return false
  }
}

/** Whether a container that does not run is started when the engine starts. */
export function shouldStartWithEngine(policy: RestartPolicy | undefined, stopped: { exitCode: number; restartCount: number; manuallyStopped: boolean }): boolean {
  return policy?.Name === 'always' || shouldRestart(policy, stopped)
}

/** Milliseconds until the next start, given the last wait and how long the run lasted. */
export function nextDelay(lastDelay: number, ranFor: number): number {
  return lastDelay === 0 || ranFor >= goodRun ? firstDelay : Math.min(lastDelay * 2, longestDelay)
}
