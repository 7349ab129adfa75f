import { release } from 'node:os'
import { arch } from 'node:process'

/**
 * The default system-call filter: what is not named here fails with EPERM. It lets through what programs use on their own files, memory,
 * processes and sockets, and keeps out what reaches past the container: kernel modules, the clock, keyrings, mounts, foreign namespaces,
 * tracing of the kernel, new interfaces with a record of escapes (io_uring, userfaultfd). Calls that a capability guards are let through
 * with that capability.
 * @see OCI runtime specification, config-linux.md, Seccomp
 */
const groups: Record<string, string> = {
  files: `open openat openat2 creat close close_range read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek _llseek
    sendfile sendfile64 splice tee vmsplice copy_file_range truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 fadvise64_64
    readahead fsync fdatasync sync syncfs sync_file_range flock fcntl fcntl64 ioctl dup dup2 dup3 pipe pipe2 umask cachestat`,
  names: `access faccessat faccessat2 stat stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64
    link linkat unlink unlinkat symlink symlinkat readlink readlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat getdents getdents64
    getcwd chdir fchdir name_to_handle_at`,
  attributes: `chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 utime utimes futimesat utimensat utimensat_time64
    getxattr getxattrat lgetxattr fgetxattr setxattr setxattrat lsetxattr fsetxattr listxattr listxattrat llistxattr flistxattr removexattr removexattrat
    lremovexattr fremovexattr`,
  watching: `inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4`,
  asynchronous: 'io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64',
  memory: `brk mmap mmap2 munmap mremap mprotect msync madvise process_madvise mincore mlock mlock2 munlock mlockall munlockall remap_file_pages memfd_create memfd_secret
    membarrier pkey_alloc pkey_free pkey_mprotect map_shadow_stack mseal set_mempolicy_home_node`,
  processes: `fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid getsid setsid getpriority setpriority
    prctl arch_prctl rseq set_tid_address set_robust_list get_robust_list set_thread_area get_thread_area modify_ldt uname sysinfo times getrusage
    getrlimit ugetrlimit setrlimit prlimit64 getcpu capget capset pidfd_open pidfd_send_signal process_mrelease restart_syscall`,
  identities: `getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32 getgroups getgroups32
    setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32
    setfsgid setfsgid32 setgroups setgroups32`,
  scheduling: `sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam sched_getscheduler sched_setscheduler
    sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 ioprio_get ioprio_set`,
  signals: `kill tkill tgkill pause alarm rt_sigaction rt_sigprocmask rt_sigpending rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn`,
  time: `time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64 nanosleep adjtimex clock_adjtime
    clock_adjtime64 getitimer setitimer timer_create timer_delete timer_gettime timer_gettime64 timer_settime timer_settime64 timer_getoverrun
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64`,
  waiting: `futex futex_time64 futex_wait futex_wake futex_requeue futex_waitv semget semop semctl semtimedop semtimedop_time64 shmget shmat shmdt shmctl
    msgget msgsnd msgrcv msgctl ipc mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64`,
  sockets: `socketpair socketcall bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt send sendto sendmsg sendmmsg recv
    recvfrom recvmsg recvmmsg recvmmsg_time64`,
  confining: 'seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self getrandom ptrace process_vm_readv process_vm_writev',
}

/**
 * Calls that make sense only with a capability that the kernel checks as well. With no capability: swap, which the machine has as a whole, and a kernel to start next (kexec), which would not be in
 * the container any more.
 */
const guarded: Record<string, string> = {
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_SYS_ADMIN: `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount
    mount_setattr move_mount open_tree perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns statmount listmount syslog umount umount2
    unshare`,
  CAP_BPF: 'bpf',
  CAP_PERFMON: 'perf_event_open',
  CAP_SYS_BOOT: 'reboot',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_MODULE: 'init_module finit_module delete_module',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd',
  CAP_SYS_RAWIO: 'iopl ioperm',
  CAP_SYS_TIME: 'settimeofday stime clock_settime clock_settime64',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYS_NICE: 'get_mempolicy mbind set_mempolicy migrate_pages move_pages',
  CAP_SYSLOG: 'syslog',
}

/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET: none of these may be set without CAP_SYS_ADMIN. */
const namespaceFlags = 0x7e020000
const afVsock = 40
const [eperm, enosys] = [1, 38]
/** Execution domains a program may ask for: none, PER_LINUX32, ADDR_NO_RANDOMIZE's relatives, and the query. */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff]

const architectures: Record<string, string[]> = {
  // Nothing is built for x32, and each architecture costs a container's start time to compile a filter for.
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
}

const words = (text: string): string[] => text.trim().split(/\s+/)
const allow = (names: string[], args?: object[]): object => ({ names, action: 'SCMP_ACT_ALLOW', ...(args ? { args } : {}) })

function build(capabilities: readonly string[]): object {
  const names = new Set(Object.values(groups).flatMap(words))
  for (const [capability, calls] of Object.entries(guarded)) if (capabilities.includes(capability)) for (const call of words(calls)) names.add(call)
  const native = arch === 'arm64' ? ['arm_fadvise64_64', 'arm_sync_file_range', 'breakpoint', 'cacheflush', 'set_tls', 'sync_file_range2'] : []
  const syscalls = [
    allow([...names, ...native]),
    // Virtual sockets of the machine's hypervisor reach past every network namespace.
    allow(['socket'], [{ index: 0, value: afVsock, op: 'SCMP_CMP_NE' }]),
    ...personalities.map((value) => allow(['personality'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
  ]
  if (!names.has('clone')) {
    syscalls.push(
      allow(['clone'], [{ index: 0, value: namespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
      // Its flags are behind a pointer, which a filter cannot follow; libc falls back to clone.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: enosys },
    )
  }
  return { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: eperm, architectures: architectures[arch] ?? [], syscalls }
}

const built = new Map<string, object>()

/** The default filter for a container with these capabilities, as `linux.seccomp`. */
export function defaultSeccomp(capabilities: readonly string[]): object {
  const key = capabilities.join()
  const profile = built.get(key) ?? build(capabilities)
  if (built.size < 16) built.set(key, profile)
  return profile
}

interface ProfileRule {
  name?: string
  names?: string[] | null
  action?: string
  errnoRet?: number | null
  args?: object[] | null
  includes?: ProfileCondition | null
  excludes?: ProfileCondition | null
}

interface ProfileCondition {
  caps?: string[] | null
  arches?: string[] | null
  /** `4.8` */
  minKernel?: string
}

interface Profile {
  defaultAction?: string
  defaultErrnoRet?: number | null
  architectures?: string[] | null
  archMap?: { architecture: string; subArchitectures?: string[] | null }[] | null
  flags?: string[] | null
  syscalls?: ProfileRule[] | null
}

/** Whether the kernel is that one or a newer one. */
function isKernelAtLeast(wanted: string): boolean {
  const numbersOf = (version: string): [number, number] => {
    const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(version) ?? []
    return [Number(major), Number(minor)]
  }
  const [[major, minor], [wantedMajor, wantedMinor]] = [numbersOf(release()), numbersOf(wanted)]
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

/**
 * A profile in Docker's format, resolved for a container: the architecture map is flattened, rules bound to capabilities, architectures or kernels
 * that the container does not have are left out, and so is everything that the OCI runtime has no name for.
 */
export function resolveProfile(profile: object, capabilities: readonly string[]): object {
  const { defaultAction, defaultErrnoRet, architectures: given, archMap, flags, syscalls } = profile as Profile
  const machine = arch === 'x64' ? 'amd64' : arch
  const native = `SCMP_ARCH_${arch === 'x64' ? 'X86_64' : 'AARCH64'}`
  const applies = ({ includes, excludes }: ProfileRule): boolean =>
    (includes?.caps ?? []).every((name) => capabilities.includes(name)) &&
    (!includes?.arches?.length || includes.arches.includes(machine)) &&
    (!includes?.minKernel || isKernelAtLeast(includes.minKernel)) &&
    !(excludes?.caps ?? []).some((name) => capabilities.includes(name)) &&
    !(excludes?.arches ?? []).includes(machine) &&
    !(excludes?.minKernel && isKernelAtLeast(excludes.minKernel))
  const mapped = archMap?.filter(({ architecture }) => architecture === native).flatMap((entry) => [entry.architecture, ...(entry.subArchitectures ?? [])])
  const rules = (syscalls ?? []).filter(applies).map(({ name, names, action, errnoRet, args }) => ({
    names: names ?? (name ? [name] : []),
    action,
    ...(typeof errnoRet === 'number' ? { errnoRet } : {}),
    ...(args?.length ? { args } : {}),
  }))
  return {
    defaultAction,
    ...(typeof defaultErrnoRet === 'number' ? { defaultErrnoRet } : {}),
    ...((mapped ?? given)?.length ? { architectures: mapped ?? given } : {}),
    ...(flags?.length ? { flags } : {}),
    syscalls: rules.filter((rule) => rule.names.length > 0),
  }
}
