import type { Readable, Writable } from 'node:stream'

/**
 * The OCI runtime port: what a container runtime asks of whatever runs bundles.
 *
 * A *bundle* is a directory with `config.json` (OCI runtime specification); the rootfs is given as mounts, which the runtime
 * makes itself. A *task* is the running side of a container; its init process and its execs are {@link RuntimeProcess}es.
 *
 * Tasks outlive the process that uses this port: disposing a runtime lets go of them; {@link OciRuntime.reconnect} finds them again.
 * Output written while nobody was connected waits in the pipes (the writer blocks when they are full) and is read after reconnecting.
 *
 * Must fail: a command that does not exist or may not be executed (`not-found` / `permission-denied`, with the runtime's own words
 * in the message); anything on a task that is gone (`not-found`).
 */
export interface OciRuntime extends AsyncDisposable {
  /** `runc`, … */
  readonly name: string
  /** Makes the task's namespaces, cgroup and mounts; its init process waits for {@link RuntimeProcess.start}. Leaves nothing behind when it fails. */
  create(options: CreateTaskOptions): Promise<Task>
  /** The task of a bundle that was created earlier, perhaps by another process; undefined when it is gone (what was left of it is then removed). */
  reconnect(options: { id: string; bundle: string; stdio: StdioOptions; execs?: { id: string; stdio: StdioOptions }[] }): Promise<Task | undefined>
  /**
   * Kills whatever there is of a task and removes it, also when what supervises it does not answer: the last resort. Who waits for the task learns that it
   * was killed. Idempotent; nothing is there afterwards but processes that the kernel does not let die.
   */
  destroy(options: { id: string; bundle: string }): Promise<void>
}

export interface StdioOptions {
  terminal: boolean
  stdin: boolean
}

export type RootfsMounts = { type: string; source: string; target?: string; options: string[] }[]

export interface CreateTaskOptions {
  id: string
  /** Absolute path of a directory holding config.json; the runtime keeps its own files there too. */
  bundle: string
  /**
   * Given as a promise, the runtime gets ready meanwhile and reads config.json when it has settled; when it is rejected, so is the creation,
   * with the same reason.
   */
  rootfs: RootfsMounts | Promise<RootfsMounts>
  stdio: StdioOptions
  /** Whose the standard streams are that are no terminal, on the machine: root of the task's user namespace, so that it may open `/dev/stdout`. The caller's when absent. */
  ioOwner?: { uid: number; gid: number }
  /** Directory of a {@link Task.checkpoint}: `start()` goes on from there instead of from the beginning. Throws `not-found` when there is no such directory. */
  checkpoint?: string
  signal?: AbortSignal
}

export interface Exit {
  /** 0-255; 128 + n for a process ended by signal n. */
  status: number
  at: Date
}

export interface RuntimeProcess {
  /** The task's id, or the exec's. */
  readonly id: string
  /** In the namespace of the caller; 0 before an exec has started. */
  readonly pid: number
  /** Present where `stdin` was asked for; ending it closes the process's stdin. */
  readonly stdin: Writable | undefined
  /** The terminal's output when there is a terminal. Ends when the last writer is gone. */
  readonly stdout: Readable
  /** Absent with a terminal. */
  readonly stderr: Readable | undefined
  start(): Promise<void>
  /** `all`: every process of the task. */
  kill(signal: number, options?: { all?: boolean }): Promise<void>
  resize(size: { width: number; height: number }): Promise<void>
  /** Settles once when the process has ended, also if that was before the call. */
  wait(): Promise<Exit>
  /** Releases an ended process; for a task this ends its supervisor and removes its mounts and cgroup. Idempotent. */
  delete(): Promise<Exit>
}

export interface Task extends RuntimeProcess {
  /** An additional process; `process` is an OCI runtime specification `process` object. It waits for `start()`. */
  exec(options: { id: string; process: object; stdio: StdioOptions }): Promise<RuntimeProcess>
  /** Execs that are known, by id. */
  execs(): RuntimeProcess[]
  pause(): Promise<void>
  resume(): Promise<void>
  /** All process ids in the task's cgroup, in the caller's namespace. */
  pids(): Promise<number[]>
  /** OCI runtime specification `linux.resources`, applied to the running cgroup. */
  update(resources: object): Promise<void>
  status(): Promise<'created' | 'running' | 'paused' | 'stopped'>
  /**
   * Writes everything about the task's processes into a directory, which is made when it is missing, so that another task of the same bundle can go on from there; with
   * `exit` they are killed then. Throws `conflict` when the task does not run and `unavailable`, with a hint, where the machine lacks what it takes.
   */
  checkpoint(options: { directory: string; exit: boolean }): Promise<void>
  /** Called when the kernel killed a process of the task for its memory limit. Returns how to unsubscribe. */
  onOom(listener: () => void): () => void
}

