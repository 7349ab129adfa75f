import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { BerthError, messageOf } from '@berth/core'
import type { Container } from './container.ts'
import { type Context, emit } from './context.ts'
import { invalid } from './validate-config.ts'

const run = promisify(execFile)

/** Splits what `ps` prints into columns and keeps the rows of these processes. Throws `internal` for a table without process IDs. */
export function parseProcesses(output: string, pids: ReadonlySet<number>): { Titles: string[]; Processes: string[][] } {
  const lines = output.split('\n')
  const titles = (lines[0] ?? '').trim().split(/\s+/)
  const pidColumn = titles.indexOf('PID')
  if (pidColumn < 0) throw new BerthError('internal', 'PS_WITHOUT_PID', "Couldn't find PID field in ps output")
  const rows: string[][] = []
  for (const line of lines.slice(1)) {
    const fields = line.trim().split(/\s+/)
    const pid = Number(fields[pidColumn])
    if (!pids.has(pid)) continue
    // The last column may hold spaces.
    rows.push([...fields.slice(0, titles.length - 1), fields.slice(titles.length - 1).join(' ')])
  }
  return { Titles: titles, Processes: rows }
}

/** The options of `ps` that are harmless and leave its table readable. Throws `invalid-argument` for others. */
function checkArguments(text: string): string[] {
  const args = text.trim().split(/\s+/).filter(Boolean)
  for (const arg of args) {
    if (!/^[-\w,=:%+.]*$/.test(arg)) throw invalid(`ps: invalid argument: ${JSON.stringify(arg)}`)
    if (/pid=/i.test(arg)) throw invalid('specifying "ps" arguments to set the PID column title is not supported')
  }
  return args
}

/** The processes of a container as the machine's `ps` shows them. Throws `conflict` when it does not run. */
export async function topContainer(ctx: Context, container: Container, psArgs: string): Promise<{ Titles: string[]; Processes: string[][] }> {
  const args = checkArguments(psArgs || '-ef')
  if (!container.run) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `Container ${container.id} is not running`)
  const pids = new Set(await container.run.task.pids())
  let output: string
  try {
    output = (await run('ps', args, { maxBuffer: 64 * 1024 * 1024, timeout: 10_000 })).stdout
  } catch (error) {
    throw new BerthError('internal', 'PS_FAILED', `error running ps: ${messageOf(error)}`, { cause: error })
  }
  emit(ctx, container, 'top')
  return parseProcesses(output, pids)
}
