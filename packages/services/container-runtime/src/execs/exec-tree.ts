import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

const [sighup, sigkill, sigcont] = [1, 9, 18]
const lookAgain = 50
/** Processes that go on making others are killed this often. */
const rounds = 40

export interface ProcessTree {
  /** The process that everything in it came of. Its session is of nothing else: runtimes make one for every exec, be it that they lead it themselves. */
  root: number
  /** Nothing outside of this container is touched. */
  containerId: string
  /** The processes of the container. */
  pids(): Promise<number[]>
  /** Milliseconds that processes get to end by themselves once they were hung up on; 0 kills at once. */
  grace: number
}

/**
 * Ends a process and what came of it, as a terminal that is closed does: SIGHUP, and SIGKILL some time later for what is left. Found are the
 * descendants, and everything in the session of the root; what has left both before (a daemon) goes on.
 */
export async function endProcessTree(tree: ProcessTree): Promise<void> {
  const known = new Map<number, string>()
  for (const pid of tree.grace > 0 ? await membersOf(tree, known) : []) {
    send(pid, sighup)
    send(pid, sigcont)
  }
  for (const until = performance.now() + tree.grace; performance.now() < until; await setTimeout(lookAgain)) {
    if ((await membersOf(tree, known)).length === 0) return
  }
  for (let round = 0; round < rounds; round++) {
    const left = await membersOf(tree, known)
    if (left.length === 0) return
    for (const pid of left) send(pid, sigkill)
    await setTimeout(lookAgain)
  }
}

/** @param known processes that were found before, by their start: what lost its parent since is still one of them */
async function membersOf({ root, containerId, pids }: ProcessTree, known: Map<number, string>): Promise<number[]> {
  const processes = (await pids()).flatMap((pid) => statusOf(pid, containerId) ?? [])
  // crun leaves it in the session of whoever ran crun, which has ended. 0 is one outside the engine's process namespace.
  const sessions = new Set([root, processes.find(({ pid }) => pid === root)?.session])
  sessions.delete(0)
  const members = new Map(processes.filter(({ pid, session, start }) => pid === root || sessions.has(session) || known.get(pid) === start).map((process) => [process.pid, process]))
  for (let size = -1; size !== members.size; ) {
    size = members.size
    for (const process of processes) if (members.has(process.parent)) members.set(process.pid, process)
  }
  for (const { pid, start } of members.values()) known.set(pid, start)
  return [...members.values()].filter(({ isZombie }) => !isZombie).map(({ pid }) => pid)
}

/** @see proc(5), /proc/pid/stat; undefined for a process that is gone or belongs elsewhere */
function statusOf(pid: number, containerId: string): { pid: number; parent: number; session: number; start: string; isZombie: boolean } | undefined {
  try {
    if (!readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(containerId)) return undefined
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name before it may hold anything, closing brackets too.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { pid, parent: Number(fields[1]), session: Number(fields[3]), start: fields[19] ?? '', isZombie: fields[0] === 'Z' }
  } catch {
    return undefined
  }
}

function send(pid: number, signal: number): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
