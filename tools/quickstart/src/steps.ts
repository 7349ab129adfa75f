import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { removeCgroups } from '@berth/e2e'

const bin = join(import.meta.dirname, '../../../node_modules/.bin')

/** A place of its own, so that a daemon with the default roots is not disturbed. */
export const roots = {
  data: '/var/lib/berth-quickstart',
  exec: '/run/berth-quickstart',
  socket: '/run/berth-quickstart/berth.sock',
  pidfile: '/run/berth-quickstart/berthd.pid',
  log: '/run/berth-quickstart/berthd.log',
  registry: '/var/lib/berth-quickstart/registry',
  cgroup: '/berth-quickstart',
} as const

/** A failure that one sentence explains. */
export class Sorry extends Error {}

let isInterrupted = false
process.on('SIGINT', () => (isInterrupted = true)) // the command of the step gets it as well; what is up is ended before we go

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
  if (isInterrupted) throw new Sorry('interrupted')
  if (code !== 0) throw new Sorry(`'berth ${args[0]}' ended with ${code}: ${stderr.trim()}`)
  return stdout
}

async function isDaemonUp(): Promise<boolean> {
  if (!existsSync(roots.socket)) return false
  return (await run(join(bin, 'berth'), ['-H', `unix://${roots.socket}`, 'version'])).code === 0
}

export async function startDaemon(): Promise<void> {
  mkdirSync(roots.exec, { recursive: true, mode: 0o711 })
  const log = openSync(roots.log, 'a', 0o600)
  const flags = ['--data-root', roots.data, '--exec-root', roots.exec, '--pidfile', roots.pidfile, '--cgroup-parent', roots.cgroup, '-H', `unix://${roots.socket}`]
  const daemon = spawn(join(bin, 'berthd'), flags, { detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  daemon.unref()
  const ended = new Promise<void>((resolve) => daemon.once('exit', () => resolve()))
  await until(async () => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) {
      const log = readFileSync(roots.log, 'utf8').trim().split('\n')
      const said = log.findLast((line) => line.startsWith('berthd: '))?.slice('berthd: '.length)
      throw new Sorry(`berthd could not start: ${said ?? log.at(-1)}`)
    }
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 50))])
    return isDaemonUp()
  }, 'berthd did not answer')
  console.log(`  berthd ${flags.join(' ')}`)
}

/** Whether a process is our daemon: a pidfile that outlived its daemon may name a process of somebody else. */
function isDaemon(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(roots.pidfile)
  } catch {
    return false
  }
}

function daemonProcess(): number | undefined {
  if (!existsSync(roots.pidfile)) return undefined
  const pid = Number(readFileSync(roots.pidfile, 'utf8'))
  return isDaemon(pid) ? pid : undefined
}

/** Ends what an earlier quickstart left up. A daemon that was killed is started again, as only a daemon can put an end to its containers. */
export async function endEarlier(): Promise<void> {
  if (!existsSync(roots.data)) return
  tell('What an earlier quickstart left up is ended first')
  if (daemonProcess() === undefined) await startDaemon()
  await endDaemon()
}

/** Ends the daemon in order, and its containers with it, and removes all that was theirs. */
export async function endDaemon(): Promise<void> {
  const pid = daemonProcess()
  if (pid !== undefined) {
    process.kill(pid, 'SIGTERM')
    await until(async () => {
      if (!isDaemon(pid)) return true
      await new Promise((resolve) => setTimeout(resolve, 25))
      return false
    }, `berthd (process ${pid}) did not end`)
  }
  for (const root of [roots.data, roots.exec]) rmSync(root, { recursive: true, force: true })
  removeCgroups(roots.cgroup)
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
