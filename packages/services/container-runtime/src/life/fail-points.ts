/**
 * The steps of a container's transitions at which a test may end the process: each is between two things that a crash can tell apart.
 * `container.` and the name is what a `failPoint` is called with.
 */
export const failPoints = [
  'create.recorded',
  'create.reserved',
  'create.ready',
  'start.recorded',
  'start.attached',
  'start.task-made',
  'start.started',
  'start.running',
  'stop.recorded',
  'stop.signalled',
  'kill.recorded',
  'kill.signalled',
  'pause.recorded',
  'pause.frozen',
  'unpause.recorded',
  'unpause.thawed',
  'restart.recorded',
  'restart.stopped',
  'end.seen',
  'end.recorded',
  'end.given-back',
  'retry.recorded',
  'rename.recorded',
  'rename.renamed',
  'remove.recorded',
  'remove.ended',
  'remove.released',
  'remove.forgotten',
  'exec.recorded',
  'exec.made',
  'exec.started',
  'exec.ended',
] as const

export type ContainerFailPoint = (typeof failPoints)[number]
