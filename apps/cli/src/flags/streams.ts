import { usageError } from '../cli.ts'

export interface AttachedStreams {
  stdin: boolean
  stdout: boolean
  stderr: boolean
}

/** Which streams of a new container its client takes: all outputs, and the input with `-i`, unless `--attach` says which. Throws `invalid-argument`. */
export function attachedStreams({ attach, interactive = false, detach = false }: { attach?: readonly string[]; interactive?: boolean; detach?: boolean }): AttachedStreams {
  if (detach && attach) throw usageError('Conflicting options: -a and -d')
  if (detach) return { stdin: false, stdout: false, stderr: false }
  if (!attach) return { stdin: interactive, stdout: true, stderr: true }
  const asked = new Set(attach.map((name) => name.toLowerCase()))
  for (const name of asked) if (!['stdin', 'stdout', 'stderr'].includes(name)) throw usageError(`valid streams are STDIN, STDOUT and STDERR: ${name}`)
  return { stdin: asked.has('stdin'), stdout: asked.has('stdout'), stderr: asked.has('stderr') }
}
