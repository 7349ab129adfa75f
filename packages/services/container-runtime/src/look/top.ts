import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { BerthError, messageOf } from '@berth/core'
import type { Container } from '../container.ts'
import { type Context, emit } from '../context.ts'
import { invalid } from '../create/validate-config.ts'

const run = promisify(execFile)

export interface ProcessTable {
  Titles: string[]
  Processes: string[][]
}

const fieldsOf = (line: string): string[] => line.split(/[\t\v\f\r ]+/).filter((field) => field !== '')

/** Splits what `ps` prints into columns and keeps the rows of these processes, threads included. Throws `invalid-argument` for a table without process IDs. */
export function parseProcesses(output: string, pids: ReadonlySet<number>): ProcessTable {
  const lines = output.split('\n')
  const titles = fieldsOf(lines[0] ?? '')
  const pidColumn = titles.indexOf('PID')
  if (pidColumn < 0) throw invalid("Couldn't find PID field in ps output")
  const rows: string[][] = []
  let isWanted = false
  for (const line of lines.slice(1)) {
    const fields = fieldsOf(line)
    const pid = fields[pidColumn]
    if (pid === undefined) continue
    // The threads of a process come after it, with a dash for its ID.
    if (pid !== '-') isWanted = /^\d+$/.test(pid) && pids.has(Number(pid))
    // The last column may hold spaces.
    if (isWanted) rows.push([...fields.slice(0, titles.length - 1), fields.slice(titles.length - 1).join(' ')])
  }
  return { Titles: titles, Processes: rows }
}

/**
 * The arguments of `ps`, which has no option that reads a file or runs a program. Throws `invalid-argument` for a column that is named `PID` and is another:
 * it would choose the rows to show.
 */
export function psArguments(text: string): string[] {
  const args = fieldsOf(text)
  if (text.length > 4096 || /\p{Cc}/u.test(text.replaceAll('\t', ' '))) throw invalid('ps: the arguments are too long, or hold control characters')
  const [, column, title] = args.map((arg) => /(?:^|[,=])-?o?([^\s,=]*)=\s*(PID.*)$/.exec(arg)).find((match) => match && !/(?:^|o)pid$/.test(match[1] ?? '')) ?? []
  if (title !== undefined) throw invalid(`specifying "${column}=${title}" is not allowed`)
  return args.length > 0 ? args : ['-ef']
}

async function ps(args: readonly string[]): Promise<string> {
  // Nothing of the daemon's environment changes what is shown.
  const { stdout } = await run('ps', args, { maxBuffer: 64 << 20, timeout: 10_000, env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' } })
  return stdout
}

/** The processes of a container, execs included, as the machine's `ps` shows them. Throws `conflict` when it does not run, and `invalid-argument` with what `ps` says. */
export async function topContainer(ctx: Context, container: Container, psArgs: string): Promise<ProcessTable> {
  const args = psArguments(psArgs)
  if (!container.run) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `container ${container.id} is not running`)
  if (container.state.status === 'restarting') throw new BerthError('conflict', 'CONTAINER_RESTARTING', `Container ${container.id} is restarting, wait until the container is running`)
  const pids = new Set(await container.run.task.pids())
  let output: string
  try {
    // Some options, such as f, cannot be used together with q.
    output = await ps([...args, `-q${[...pids].join(',')}`]).catch(() => ps(args))
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.split('\n').find((line) => line.trim() !== '')
    if (said === undefined) throw new BerthError('internal', 'PS_FAILED', `error running ps: ${messageOf(cause)}`, { cause })
    throw invalid(`ps: ${said.replace(/^error: /, '')}`)
  }
  emit(ctx, container, 'top')
  return parseProcesses(output, pids)
}
