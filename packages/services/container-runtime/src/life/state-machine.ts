import { BerthError } from '@berth/core'

/**
 * The states of a container, and the only ways from one to the next.
 *
 *     created ──> starting ──> running <──> paused
 *        ^           │  ^         │            │
 *        └───────────┤  │         ├────────────┘
 *                    v  │         v
 *                  exited <── restarting
 *
 * `starting` is recorded while a task is being made, and is `created` to clients. A container that could not be removed is `dead`, from wherever it was.
 *
 * Every transition is recorded before it is made: as a state of its own (`starting`, `restarting`), as the phase of the record (`creating`, `removing`, `removed`)
 * or as an {@link Intent}. So the next engine knows what a crash may have cut off, and decides it by the rules of {@link afterCrash}.
 */
export type ContainerStatus = 'created' | 'starting' | 'running' | 'paused' | 'restarting' | 'exited' | 'dead'

const moves: Record<ContainerStatus, readonly ContainerStatus[]> = {
  created: ['starting', 'dead'],
  starting: ['running', 'paused', 'created', 'exited', 'restarting', 'dead'],
  running: ['paused', 'restarting', 'exited', 'dead'],
  paused: ['running', 'restarting', 'exited', 'dead'],
  restarting: ['starting', 'exited', 'dead'],
  exited: ['starting', 'dead'],
  dead: [],
}

/**
 * Creation and removal, which are recorded before they begin. From `removing` on the name is free; a container that is `removed` was acknowledged to be gone
 * and is seen by no client, but something of it could not be given back yet.
 */
export type ContainerPhase = 'creating' | 'ready' | 'removing' | 'removed'

/** What a client has asked of a container that runs, until it is done. */
export type Intent =
  | { kind: 'pause' | 'unpause' | 'kill' }
  | {
      kind: 'stop' | 'restart'
      /** The first one; SIGKILL follows. */
      signal: number
      /** Seconds between the two; negative for ever. */
      timeout: number
      /** The engine ends: nobody wanted this container in particular to stop. */
      byEngine?: boolean
    }

/**
 * What the next engine makes of a transition that a crash cut off: it completes what a client wanted to end, undoes what is not there yet, and takes the
 * kernel's word for the rest.
 */
export const afterCrash = {
  create: 'undo',
  start: 'observe',
  pause: 'observe',
  unpause: 'observe',
  stop: 'complete',
  kill: 'complete',
  restart: 'complete',
  remove: 'complete',
} as const

/** Whether a state may follow another; every state may follow itself. */
export function canFollow(before: ContainerStatus, next: ContainerStatus): boolean {
  return before === next || moves[before].includes(next)
}

/** Throws `internal` for a transition that does not exist: the state is left as it was. */
export function checkMove(id: string, before: ContainerStatus, next: ContainerStatus): void {
  if (!canFollow(before, next)) throw new BerthError('internal', 'TRANSITION_UNKNOWN', `container ${id}: a container that is ${before} cannot become ${next}`)
}
