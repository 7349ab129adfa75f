import type { RestartPolicy } from '@berth/api-types'

const firstDelay = 100
const longestDelay = 60_000
/** A run that lasted this long was a good one: the delay begins anew. In milliseconds. */
const goodRun = 10_000

interface Ended {
  exitCode: number
  restartCount: number
  manuallyStopped: boolean
}

/** Whether a container whose task ended by itself is started again. */
export function shouldRestart(policy: RestartPolicy | undefined, ended: Ended): boolean {
  const { exitCode, manuallyStopped } = ended
  if (manuallyStopped) return false
  switch (policy?.Name) {
    case 'always':
    case 'unless-stopped':
      return true
    case 'on-failure':
      return exitCode !== 0 && hasRetries(policy, ended)
    default:
      return false
  }
}

/** Whether a container that was ended for being unhealthy is started again: whatever its policy and exit code, but not more often than the policy allows. */
export function shouldRestartUnhealthy(policy: RestartPolicy | undefined, ended: Ended): boolean {
  return !ended.manuallyStopped && hasRetries(policy, ended)
}

function hasRetries(policy: RestartPolicy | undefined, { restartCount }: Ended): boolean {
  return !policy?.MaximumRetryCount || restartCount < policy.MaximumRetryCount
}

/** Whether a container that does not run is started when the engine starts. */
export function shouldStartWithEngine(policy: RestartPolicy | undefined, stopped: Ended): boolean {
  return policy?.Name === 'always' || shouldRestart(policy, stopped)
}

/** Milliseconds until the next start, given the last wait and how long the run lasted. */
export function nextDelay(lastDelay: number, ranFor: number): number {
  return lastDelay === 0 || ranFor >= goodRun ? firstDelay : Math.min(lastDelay * 2, longestDelay)
}
