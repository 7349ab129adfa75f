import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, closeSync, constants, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { type Logger, messageOf } from '@berth/core'
import { sealedCopy } from '@berth/linux'
import { replaceFile, shellQuoted } from './scripts.ts'
import { seccompProgram, type SeccompProfile } from './seccomp-program.ts'

const run = promisify(execFile)

/** What decides how a process is run in a container; a part of an OCI `process`. */
interface ProcessSpec {
  rlimits?: { type: string; soft: number; hard: number }[]
  oomScoreAdj?: number
  apparmorProfile?: string
  selinuxLabel?: string
  scheduler?: object
  ioPriority?: object
}

interface Config {
  process?: ProcessSpec
  linux?: { cgroupsPath?: string; namespaces?: { type: string; path?: string }[]; seccomp?: SeccompProfile; personality?: object; intelRdt?: object; uidMappings?: object[]; gidMappings?: object[] }
}

/** The part of runc's own state of a container that crun needs. @see opencontainers/runc, libcontainer.State */
interface RuncState {
  init_process_pid: number
  init_process_start: number
}

/** Limits that could end crun between the start of the process and its report, which would be taken for a failure. */
const disturbing = new Set(['RLIMIT_FSIZE', 'RLIMIT_AS', 'RLIMIT_DATA', 'RLIMIT_STACK', 'RLIMIT_CPU', 'RLIMIT_RTTIME'])
/** Of the shim: behind its socket. */
const crunDescriptor = 4
/** Calls that use keyrings: crun does not join the container's session keyring. */
const keyringCalls = ['keyctl', 'add_key', 'request_key']

/**
 * Runs further processes of runc's containers with crun, which is written in C and needs a third of the time. The shim is given a script for its runtime: it
 * passes everything to runc, but for execs without a terminal in containers that {@link FastExec.prepare} has described to crun. Whatever crun cannot do, runc does.
 */
export class FastExec {
  /** What the shim is to run in place of runc. */
  readonly script: string
  /** crun, for the shim to hold as its descriptor 4, from where it need not copy itself at each start to be safe from containers. */
  readonly descriptor: number
  readonly #root: string
  readonly #programs = new Map<string, Buffer | undefined>()

  private constructor(script: string, descriptor: number, root: string) {
    this.script = script
    this.descriptor = descriptor
    this.#root = root
  }

  /**
   * Undefined where crun is not there or does not do what is needed.
   * @param root its own directory, made when missing
   */
  static async open(options: { root: string; script: string; runc: string; crun: string; logger: Logger }): Promise<FastExec | undefined> {
    const [runc, crun] = [findProgram(options.runc), findProgram(options.crun)]
    if (!runc || !crun) return undefined
    try {
      const { stdout } = await run(crun, ['--version'])
      if (!/^crun version ([1-9]\d*)\./m.test(stdout) || !['+SECCOMP', '+CAP'].every((feature) => stdout.includes(feature))) return undefined
      mkdirSync(options.root, { recursive: true, mode: 0o700 })
      replaceFile(options.script, scriptOf({ ...options, runc, crun }), 0o700)
      return new FastExec(options.script, sealedCopy(crun, 'crun'), options.root)
    } catch (error) {
      options.logger.warn('crun cannot be used for execs', { error: messageOf(error) })
      return undefined
    }
  }

  /** Lets go of crun. The shims have it still. */
  close(): void {
    closeSync(this.descriptor)
  }

  /**
   * Describes a running container to crun, unless that was done, so that the process that is to run in it next can be run by crun.
   * @param container `runtimeState` is runc's own directory of the container
   */
  prepare(container: { id: string; bundle: string; runtimeState: string }, exec: { id: string; process: ProcessSpec }): void {
    const directory = join(this.#root, container.id)
    if (!existsSync(directory)) this.#describe(container, directory)
    if (!isOrdinary(exec.process)) writeFileSync(join(directory, `not-${exec.id}`), '')
  }

  /** Forgets an exec. */
  forgetExec(id: string, execId: string): void {
    rmSync(join(this.#root, id, `not-${execId}`), { force: true })
  }

  /** Forgets a container. */
  forget(id: string): void {
    rmSync(join(this.#root, id), { recursive: true, force: true })
  }

  #describe({ id, bundle, runtimeState }: { id: string; bundle: string; runtimeState: string }, directory: string): void {
    const { process = {}, linux = {} } = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as Config
    const filter = linux.seccomp && this.#programOf(linux.seccomp)
    // Made elsewhere and moved, so that the script sees all of it or nothing; an empty one says that crun cannot do it.
    const temporary = join(this.#root, `.${id}`)
    rmSync(temporary, { recursive: true, force: true })
    mkdirSync(temporary, { mode: 0o700 })
    if (filter && isOrdinary(process) && !linux.personality && !linux.intelRdt && linux.cgroupsPath?.startsWith('/')) {
      // From runc, and not from /proc: the pid of a process that has ended may be another's by now.
      const { init_process_pid: pid, init_process_start: start } = JSON.parse(readFileSync(join(runtimeState, 'state.json'), 'utf8')) as RuncState
      const write = (name: string, content: string | Uint8Array): void => writeFileSync(join(temporary, name), content, { mode: 0o600 })
      const { namespaces, uidMappings, gidMappings } = linux
      // The filter itself is in a file; without flags, as runc has it.
      const seccomp = { defaultAction: linux.seccomp?.defaultAction, flags: linux.seccomp?.flags ?? [] }
      write('seccomp.bpf', filter)
      write('config.json', JSON.stringify({ ociVersion: '1.0.2', root: { path: 'rootfs' }, process: { args: ['/'], cwd: '/' }, linux: { namespaces, uidMappings, gidMappings, seccomp } }))
      write('oom', `${process.oomScoreAdj ?? ''}\n`)
      const status = {
        pid, 'process-start-time': start, 'cgroup-path': linux.cgroupsPath, scope: '', rootfs: join(bundle, 'rootfs'), 'systemd-cgroup': false, bundle,
        created: '', owner: '', detached: true, external_descriptors: '[]',
      } // prettier-ignore
      write('status', JSON.stringify(status))
    }
    renameSync(temporary, directory)
  }

  #programOf(profile: SeccompProfile): Buffer | undefined {
    if (profile.listenerPath || allowsKeyrings(profile)) return undefined
    const key = createHash('sha256').update(JSON.stringify(profile)).digest('hex')
    if (!this.#programs.has(key)) {
      if (this.#programs.size >= 64) this.#programs.clear()
      this.#programs.set(key, seccompProgram(profile, join(this.#root, `.${key}`)))
    }
    return this.#programs.get(key)
  }
}

function isOrdinary({ rlimits, apparmorProfile, selinuxLabel, scheduler, ioPriority }: ProcessSpec): boolean {
  return !apparmorProfile && !selinuxLabel && !scheduler && !ioPriority && !rlimits?.some(({ type }) => disturbing.has(type))
}

function allowsKeyrings({ defaultAction, syscalls = [] }: SeccompProfile): boolean {
  const refuses = (action: string): boolean => action === 'SCMP_ACT_ERRNO' || action.startsWith('SCMP_ACT_KILL')
  return keyringCalls.some((call) => {
    const rules = syscalls.filter(({ names }) => names.includes(call))
    const isRefused = refuses(defaultAction) || rules.some(({ args }) => !args?.length)
    return !isRefused || !rules.every(({ action }) => refuses(action))
  })
}

function findProgram(name: string): string | undefined {
  const candidates = name.includes('/') ? [name] : (process.env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, name))
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return statSync(path).isFile()
    } catch {
      return false
    }
  })
}

/**
 * The arguments are those of containerd's go-runc, in its order; any others go to runc.
 *
 * Descriptor 3 of crun is a pipe that the process inherits until it has become the program it is to run, so that the end of it says that this has worked. What crun
 * says there is why it has not; then runc tries, which finds the same reason and says it in the words that users know, or can do it. Only a crun that was killed, or could not
 * write the process's number, may have started the process: it must not run twice.
 */
function scriptOf({ root, runc, crun }: { root: string; runc: string; crun: string }): string {
  return `#!/bin/sh
# Written by @berth/runtime-shim.
container=${shellQuoted(root)}/\${13}
exec=\${12##*/}
if [ $# = 13 ] && [ "$7 $8 \${10} \${11}" = 'exec --process --detach --pid-file' ] && [ -s "$container/seccomp.bpf" ] && [ ! -e "$container/not-\${exec%.pid}" ]; then
  read -r oom <"$container/oom"
  [ -z "$oom" ] || echo "$oom" >/proc/self/oom_score_adj
  crun=/proc/self/fd/${crunDescriptor}
  [ -f $crun ] && [ -x $crun ] || crun=${shellQuoted(crun)}
  exec 9>&1
  failure=$("$crun" --root ${shellQuoted(root)} --log /proc/self/fd/3 --log-format json exec --process "$9" --detach --pid-file "\${12}" "\${13}" 3>&1 >&9 9>&-)
  status=$?
  [ $status = 0 ] && [ -z "$failure" ] && exit 0
  case $status:$failure in
    129:* | 1[3-9][0-9]:* | *"\${12}"*)
      echo '{"level":"error","msg":"exec failed: crun ended too early"}' >>"$4"
      exit 1
      ;;
  esac
  exec 9>&-
fi
exec ${shellQuoted(runc)} "$@"
`
}
