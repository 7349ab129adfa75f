import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const bin = join(import.meta.dirname, '../../../node_modules/.bin')

/** A place of its own, so that a daemon with the default roots is not disturbed. */
export const roots = {
  data: '/var/lib/berth-quickstart',
  exec: '/run/berth-quickstart',
  socket: '/run/berth-quickstart/berth.sock',
  pidfile: '/run/berth-quickstart/berthd.pid',
  log: '/run/berth-quickstart/berthd.log',
  registry: '/var/lib/berth-quickstart/registry',
} as const

/** A failure that one sentence explains. */
export class Sorry extends Error {}

export function tell(step: string): void {
  console.log(`\n=> ${step}`)
}

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

function run(program: string, args: readonly string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const result: Result = { code: null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (result.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (result.stderr += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ ...result, code }))
  })
}

const indent = (text: string): string => text.trimEnd().replace(/^/gm, '  ')

/** Runs our command line as a user would, shows the command and what it said, and gives its output. */
export async function berth(...args: string[]): Promise<string> {
  console.log(`  $ berth ${args.map((arg) => (/^[\w.:/=@-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`)).join(' ')}`)
  const { code, stdout, stderr } = await run(join(bin, 'berth'), ['-H', `unix://${roots.socket}`, ...args])
  if (stdout + stderr !== '') console.log(indent(stdout + stderr))
  if (code !== 0) throw new Sorry(`'berth ${args[0]}' ended with ${code}: ${stderr.trim()}`)
  return stdout
}

/** Whether the daemon of the quickstart runs, from this run or an earlier one. */
export async function isDaemonUp(): Promise<boolean> {
  if (!existsSync(roots.socket)) return false
  return (await run(join(bin, 'berth'), ['-H', `unix://${roots.socket}`, 'version'])).code === 0
}

export async function startDaemon(): Promise<void> {
  mkdirSync(roots.exec, { recursive: true, mode: 0o711 })
  const log = openSync(roots.log, 'a', 0o600)
  const flags = ['--data-root', roots.data, '--exec-root', roots.exec, '--pidfile', roots.pidfile, '--cgroup-parent', '/berth-quickstart', '-H', `unix://${roots.socket}`]
  const daemon = spawn(join(bin, 'berthd'), flags, { detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  daemon.unref()
  const ended = new Promise<void>((resolve) => daemon.once('exit', () => resolve()))
  await until(async () => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) {
      const said = readFileSync(roots.log, 'utf8').trim().split('\n').findLast((line) => line.startsWith('berthd: '))
      throw new Sorry(said?.replace('berthd: ', 'berthd could not start: ') ?? `berthd ended at once; its log is ${roots.log}`)
    }
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 50))])
    return isDaemonUp()
  }, 'berthd did not answer')
  console.log(`  berthd ${flags.join(' ')}`)
}

/** Ends the daemon in order, and its containers with it. */
export async function endDaemon(): Promise<void> {
  if (!existsSync(roots.pidfile)) return
  const pid = Number(readFileSync(roots.pidfile, 'utf8'))
  const isAlive = (): boolean => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }
  if (isAlive()) process.kill(pid, 'SIGTERM')
  await until(async () => {
    if (!isAlive()) return true
    await new Promise((resolve) => setTimeout(resolve, 25))
    return false
  }, `berthd (process ${pid}) did not end`)
}

/** Asks for a page until somebody serves it. */
export async function fetchPage(url: string): Promise<string> {
  let text = ''
  await until(async () => {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined)
    text = response?.ok ? await response.text() : ''
    if (text === '') await new Promise((resolve) => setTimeout(resolve, 25))
    return text !== ''
  }, `nothing answered on ${url}`)
  return text
}

async function until(isDone: () => Promise<boolean>, failure: string, seconds = 20): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  while (!(await isDone())) if (performance.now() > deadline) throw new Sorry(`${failure} within ${seconds} s`)
}
