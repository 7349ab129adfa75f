import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OciRuntime, Task } from '@berth/oci-runtime'
import { shimRuntime } from '../src/index.ts'
import { type BundleRoot, bundleRoot, processSpec } from './busybox-bundle.ts'

const none = { terminal: false, stdin: false }
const terminal = { terminal: true, stdin: true }
const capabilities = ['CAP_CHOWN', 'CAP_KILL', 'CAP_SETUID']
const capabilitySets = { bounding: capabilities, effective: capabilities, permitted: capabilities, inheritable: [] }
const seccomp = {
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  syscalls: [{ names: ['keyctl', 'add_key', 'request_key', 'mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
}
/** What a process knows about itself that must not depend on who started it. */
const look = `
grep -E '^(Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Seccomp_filters|Cap.*|Sig(Ign|Blk|Cgt)|ShdPnd|Speculation.*|NStgid|Cpus_allowed|Mems_allowed)' /proc/self/status | grep -v NStgid
for n in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; done
cat /proc/self/cgroup /proc/self/oom_score_adj /proc/self/limits /proc/self/attr/current 2>/dev/null
pwd; env; ls -l /proc/self/fd | wc -l; readlink /proc/self/root; mkdir /tmp/x 2>&1; echo "$0"`

interface Changes {
  process?: object
  linux?: object
}

describe('execs by crun', { timeout: 60_000 }, () => {
  let root: BundleRoot
  const runtimes: OciRuntime[] = []
  const tasks: Task[] = []

  beforeEach(async () => {
    root = await bundleRoot()
  })
  afterEach(async () => {
    for (const task of tasks.splice(0)) {
      await task.kill(9).catch(() => {}) // it may have ended
      await task.wait()
      await task.delete()
    }
    for (const runtime of runtimes.splice(0)) await runtime[Symbol.asyncDispose]()
    await root[Symbol.asyncDispose]()
  })

  /** A container whose execs crun runs, or runc alone. */
  const start = async ({ process, linux }: Changes = {}, execBinary: string | false = 'crun') => {
    const bundle = await root.bundle(['/bin/sh', '-c', 'sleep 1000'])
    const path = join(bundle.bundle, 'config.json')
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, object>
    config['process'] = { ...config['process'], capabilities: capabilitySets, ...process }
    config['linux'] = { ...config['linux'], seccomp, ...linux }
    writeFileSync(path, JSON.stringify(config))
    const runtime = shimRuntime({ stateDir: root.stateDir, execBinary })
    runtimes.push(runtime)
    const task = await runtime.create({ ...bundle, stdio: none })
    tasks.push(task)
    await task.start()
    return { task, runtime, bundle }
  }

  let count = 0
  const exec = async (task: Task, args: readonly string[], changes: object = {}, stdio = none) => {
    const process = await task.exec({ id: `e${count++}`, process: { ...processSpec(args, stdio), capabilities: capabilitySets, ...changes }, stdio })
    const output = Promise.all([process.stdout, process.stderr].map(async (stream) => Buffer.concat((await stream?.toArray()) ?? []).toString()))
    output.catch(() => {}) // nothing comes of a process that cannot be run
    await process.start()
    const [stdout, stderr] = await output
    const { status } = await process.wait()
    await process.delete()
    return { stdout, stderr, status }
  }
  const sh = (task: Task, script: string, changes?: object) => exec(task, ['/bin/busybox', 'sh', '-c', script], changes)

  /** Whether crun was told of the container, so that its execs can be crun's. */
  const isDescribed = (task: Task) => existsSync(join(root.stateDir, 'exec', task.id, 'status'))

  it('are crun’s: its process is the child of no runc', async () => {
    const { task } = await start()
    // crun makes no session for it, runc does.
    expect((await sh(task, 'cut -d" " -f5,6 /proc/self/stat')).stdout).toBe('0 0\n')
    expect(isDescribed(task)).toBe(true)
    const other = await start({}, false)
    expect((await sh(other.task, 'cut -d" " -f5,6 /proc/self/stat')).stdout).not.toBe('0 0\n')
  })

  const oneAndOther = async (changes: Changes, process: object = {}) => {
    const results = []
    for (const execBinary of ['crun', false] as const) {
      const { task } = await start(changes, execBinary)
      const { stdout, stderr, status } = await sh(task, look, process)
      expect(isDescribed(task)).toBe(execBinary === 'crun')
      // Each container has namespaces and a control group of its own: what counts is that they are the task's.
      const own = { namespaces: namespacesOf(task.pid), cgroup: readFileSync(`/proc/${task.pid}/cgroup`, 'utf8'), id: task.id }
      let text = stdout!
      for (const [name, link] of Object.entries(own.namespaces)) text = text.replace(link, `the task's ${name}`)
      results.push({ stdout: text.replaceAll(own.id, 'ID'), stderr, status })
    }
    return results
  }

  it.each<[string, Changes, object]>([
    ['an ordinary process', {}, {}],
    ['another user with groups and no new privileges', {}, { user: { uid: 1000, gid: 100, additionalGids: [5, 77] }, noNewPrivileges: true, capabilities: { bounding: capabilities } }],
    ['limits, and a score for the OOM killer', { process: { oomScoreAdj: 321, rlimits: [{ type: 'RLIMIT_NOFILE', soft: 200, hard: 200 }] } }, { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 200, hard: 200 }] }],
    ['a directory of its own', {}, { cwd: '/tmp', env: ['PATH=/bin', 'HOME=/tmp', 'A=b c'] }],
    ['a user namespace', { linux: { namespaces: ['user', 'pid', 'ipc', 'uts', 'mount', 'network', 'cgroup'].map((type) => ({ type })), uidMappings: [{ containerID: 0, hostID: 0, size: 5000 }], gidMappings: [{ containerID: 0, hostID: 0, size: 5000 }] } }, { user: { uid: 12, gid: 13 } }],
    ['a strict filter', { linux: { seccomp: { defaultAction: 'SCMP_ACT_ERRNO', architectures: seccomp.architectures, syscalls: [{ names: allCallsOfBusybox(), action: 'SCMP_ACT_ALLOW' }] } } }, {}],
  ])('are as runc’s: %s', async (_what, changes, process) => {
    const [fast, slow] = await oneAndOther(changes, process)
    expect(fast!.stdout).toContain('the task')
    expect(fast).toEqual(slow)
  })

  it('never begin outside of the container: leaked descriptors and WORKDIR /proc/self/fd/N (CVE-2024-21626)', async () => {
    const { task } = await start()
    const outside = 'for up in . .. ../.. ../../.. ../../../.. ../../../../..; do [ -e $up/usr/bin/crun ] && echo out; done; echo in'
    await sh(task, 'i=0; while [ $i -lt 20 ]; do ln -s /proc/self/fd/$i /tmp/link-$i; i=$((i+1)); done')
    for (const cwd of ['/proc/self/cwd', '/proc/self/root', '/proc/1/cwd', ...Array.from({ length: 20 }, (_, n) => [`/proc/self/fd/${n}`, `/tmp/link-${n}`]).flat()]) {
      const { stdout } = await sh(task, outside, { cwd }).catch(() => ({ stdout: 'refused\n' }))
      expect([cwd, stdout]).toEqual([cwd, expect.stringMatching(/^(in|refused)\n$/) as string])
    }
    expect(isDescribed(task)).toBe(true)
  })

  it('show no program of the machine that could be written: /proc/self/exe (CVE-2019-5736)', async () => {
    const digest = () => ['/usr/bin/crun', '/usr/sbin/runc'].map((path) => createHash('sha256').update(readFileSync(path)).digest('hex'))
    const before = digest()
    const strong = ['CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH']
    const sets = { bounding: strong, effective: strong, permitted: strong, inheritable: [] }
    const { task } = await start({ process: { capabilities: sets } })
    const watcher = await task.exec({
      id: 'watcher',
      process: { ...processSpec(['/bin/sh', '-c', 'echo on; while :; do for p in /proc/[0-9]*; do case $(busybox readlink $p/exe) in */busybox|"") ;; *) (echo x >>$p/exe) 2>/dev/null && echo written;; esac; done; done']), capabilities: sets },
      stdio: none,
    })
    await watcher.start()
    const seen: string[] = []
    watcher.stdout.on('data', (chunk: Buffer) => seen.push(String(chunk)))
    await sh(task, 'echo "#!/proc/self/exe" >/tmp/evil; busybox chmod +x /tmp/evil')
    for (let n = 0; n < 10; n++) await exec(task, ['/tmp/evil'], { capabilities: sets }).catch(() => {})
    await watcher.kill(9)
    await watcher.wait()
    expect(seen.join('')).toBe('on\n')
    expect(digest()).toEqual(before)
  })

  it.each([
    [['nosuch'], 'not-found', 'exec: "nosuch": executable file not found in $PATH: unknown'],
    [['/no/such'], 'not-found', 'exec: "/no/such": stat /no/such: no such file or directory: unknown'],
    [['/bin/data'], 'permission-denied', 'exec: "/bin/data": permission denied: unknown'],
    [['/tmp'], 'permission-denied', 'exec: "/tmp": permission denied: unknown'],
  ])('say in runc’s words why they cannot run: %o', async (args, kind, reason) => {
    const { task } = await start()
    await expect(exec(task, args)).rejects.toMatchObject({ kind, message: `OCI runtime exec failed: exec failed: unable to start container process: ${reason}` })
    expect((await sh(task, 'echo on')).stdout).toBe('on\n')
  })

  it.each<[string, Changes, object]>([
    ['a container without a filter', { linux: { seccomp: undefined } }, {}],
    ['a container that may use keyrings', { linux: { seccomp: { ...seccomp, syscalls: [] } } }, {}],
    ['limits that could end crun', {}, { rlimits: [{ type: 'RLIMIT_FSIZE', soft: 0, hard: 0 }] }],
  ])('are left to runc: %s', async (_what, changes, process) => {
    const { task } = await start(changes)
    const { stdout, status } = await sh(task, 'cut -d" " -f5 /proc/self/stat', process)
    expect(stdout).not.toMatch(/^0\n/)
    expect(status).toBe(0)
    expect(isDescribed(task)).toBe(!changes.linux)
  })

  it('have a terminal when they ask for one', async () => {
    const { task } = await start()
    const { stdout } = await exec(task, ['/bin/sh', '-c', 'tty'], {}, terminal)
    expect(stdout).toBe('/dev/pts/0\r\n')
  })

  it('go on after another runtime took the task over, and leave nothing', async () => {
    const { task, runtime, bundle } = await start()
    expect((await sh(task, 'echo 1')).stdout).toBe('1\n')
    await runtime[Symbol.asyncDispose]()
    runtimes.splice(0)
    tasks.splice(0)
    const other = shimRuntime({ stateDir: root.stateDir })
    runtimes.push(other)
    const found = (await other.reconnect({ ...bundle, stdio: none }))!
    tasks.push(found)
    expect((await sh(found, 'cut -d" " -f5 /proc/self/stat')).stdout).toBe('0\n')
    await found.kill(9)
    await found.wait()
    await found.delete()
    expect(existsSync(join(root.stateDir, 'exec', found.id))).toBe(false)
  })

  it('run by runc when crun was removed', async () => {
    const { task } = await start()
    const script = join(root.stateDir, 'runc')
    writeFileSync(script, readFileSync(script, 'utf8').replaceAll(/'[^']*\/crun'/g, "'/no/crun'").replace('crun=/proc/self/fd/4', 'crun=/none'))
    const { stdout } = await sh(task, 'cut -d" " -f5 /proc/self/stat')
    expect(stdout).not.toBe('0\n')
  })
})

function namespacesOf(pid: number): Record<string, string> {
  return Object.fromEntries(['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'time'].map((name) => [name, execFileSync('readlink', [`/proc/${pid}/ns/${name}`], { encoding: 'utf8' }).trim()]))
}

function allCallsOfBusybox(): string[] {
  return 'read write open openat close stat fstat lstat newfstatat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl access pipe pipe2 dup dup2 dup3 nanosleep getpid fork vfork clone execve exit exit_group wait4 kill uname fcntl getdents64 getcwd chdir readlink readlinkat umask getuid getgid geteuid getegid getppid getpgrp setpgid sigaltstack arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom sendfile statx setuid setgid setgroups capset capget prctl faccessat2 faccessat fchdir setresuid setresgid futex madvise gettid tgkill sched_getaffinity sched_yield epoll_pwait epoll_ctl epoll_create1 getgroups fchown statfs fstatfs clock_nanosleep close_range openat2 epoll_create epoll_wait eventfd2 mlock madvise getsockopt recvmsg sendmsg pread64 rt_sigsuspend sethostname symlink fchownat tkill times wait4 waitid clone3 clock_gettime gettimeofday setsid timer_create timer_settime timer_delete restart_syscall membarrier'.split(' ')
}
