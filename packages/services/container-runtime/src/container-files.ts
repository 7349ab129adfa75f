import { closeSync, openSync } from 'node:fs'
import { BerthError, isErrno, isKind, KeyedMutex, WorkerCalls, workerFile } from '@berth/core'
import type { ArchiveJobs } from './archive-worker.ts'
import type { Container, Run } from './container.ts'
import type { Context } from './context.ts'
import type { VolumeMount } from './dependencies.ts'
import { FilesView } from './files/files-view.ts'

/** The root file system of a container that does not run, mounted for those who look at it. */
interface StoppedRoot {
  /** Descriptor of a mount namespace. */
  fd: number
  users: number
  volumes: VolumeMount[] | undefined
}

/** How many threads copy; each works for any number of clients, a batch at a time, so that a slow client takes none away. */
const threadCount = 2

interface Thread {
  calls: WorkerCalls<ArchiveJobs>
  views: number
  ending: NodeJS.Timeout | undefined
}

/**
 * Opens containers' files for copies. They are seen in private mount namespaces by threads, whatever the container does meanwhile; nothing is mounted on the
 * machine, and the kernel takes all down with the last descriptor.
 */
export class ContainerFiles implements AsyncDisposable {
  readonly #ctx: Omit<Context, 'files'>
  readonly #threads = Array.from({ length: threadCount }, (): Thread => ({
    calls: new WorkerCalls(workerFile(import.meta.url, 'archive-worker'), { name: 'copies', trackUnmanagedFds: false }), // descriptors are the caller's
    views: 0,
    ending: undefined,
  }))
  readonly #roots = new Map<string, StoppedRoot>()
  readonly #views = new Map<string, Set<FilesView>>()
  readonly #linger: number
  /** The roots, by container. */
  readonly #locks = new KeyedMutex()

  constructor(ctx: Omit<Context, 'files'>) {
    this.#ctx = ctx
    this.#linger = ctx.options.copyLinger ?? 5000
  }

  /**
   * Opens a container's files as it sees them, or, if it does not run, its root file system with its volumes; `rootOnly`: without anything that is mounted
   * there. The view ends early when the container is removed. Throws `conflict` when it is being removed.
   */
  async open(container: Container, { rootOnly = false, signal }: { rootOnly?: boolean; signal: AbortSignal }): Promise<FilesView> {
    const { locks, closed } = this.#ctx
    for (;;) {
      signal.throwIfAborted()
      closed.throwIfAborted()
      const { run, view } = await locks.run(container.id, async () => ({ run: container.run, view: await this.#tryOpen(container, rootOnly, signal) }))
      if (view) return view
      await run?.ended
      if (run && container.run === run) throw new BerthError('unavailable', 'CONTAINER_LOST', `what became of the process of container ${container.id} is not known`)
    }
  }

  /** Settles when nobody looks at a container's files, so that its root file system may be mounted by a start. */
  async drained(id: string): Promise<void> {
    for (let views = this.#views.get(id); views; views = this.#views.get(id)) await Promise.all([...views].map(({ closed }) => closed))
  }

  /** Ends what is being copied from or to a container. */
  async end(id: string): Promise<void> {
    const reason = new BerthError('conflict', 'CONTAINER_REMOVED', `container ${id} is being removed`)
    for (const view of this.#views.get(id) ?? []) view.abort(reason)
    await this.drained(id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const views = [...this.#views.values()].flatMap((open) => [...open])
    for (const view of views) view.abort(new BerthError('cancelled', 'RUNTIME_CLOSED', 'the engine lets go of its containers'))
    await Promise.all(views.map(({ closed }) => closed))
    for (const { ending } of this.#threads) clearTimeout(ending)
    await Promise.all(this.#threads.map(({ calls }) => calls.end()))
  }

  /** Undefined when its run has just ended and is not over yet. */
  async #tryOpen(container: Container, rootOnly: boolean, signal: AbortSignal): Promise<FilesView | undefined> {
    const { id, run, record } = container
    if (container.isRemoving || record.phase !== 'ready' || container.state.status === 'dead') {
      throw new BerthError('conflict', 'CONTAINER_REMOVED', `container ${id} is being removed`)
    }
    const thread = this.#threads.toSorted((a, b) => a.views - b.views)[0]!
    takeThread(thread)
    let opened: { fd: number; leave(): Promise<void> } | undefined
    try {
      opened = run ? await this.#ofProcess(container, run, thread.calls, rootOnly) : await this.#ofStopped(container, thread.calls, rootOnly)
    } finally {
      if (!opened) this.#giveThread(thread)
    }
    if (!opened) return undefined
    const { fd, leave } = opened
    const views = this.#views.get(id) ?? new Set()
    this.#views.set(id, views)
    const view = new FilesView({
      thread: thread.calls,
      fd,
      // A container that does not run is mounted as it is on disk.
      ids: run ? record.definition.userns : undefined,
      signal,
      onClose: async () => {
        this.#giveThread(thread)
        closeSync(fd)
        await leave().finally(() => {
          views.delete(view)
          if (views.size === 0) this.#views.delete(id)
        })
      },
    })
    views.add(view)
    return view
  }

  async #ofProcess({ state }: Container, { task }: Run, thread: WorkerCalls<ArchiveJobs>, rootOnly: boolean): Promise<{ fd: number; leave(): Promise<void> } | undefined> {
    let base: number
    try {
      base = openSync(`/proc/${state.pid}/ns/mnt`, 'r')
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined
      throw error
    }
    try {
      // Asked after it was opened: a task that runs now ran then, so the number was its own.
      const status = await task.status().catch((error: unknown) => {
        if (isKind(error, 'not-found')) return 'stopped'
        throw error
      })
      if (status === 'stopped') return undefined
      const fd = await thread.call('view', { base, rootOnly, volumes: [], readonlyRoot: false })
      return { fd, leave: async () => {} }
    } finally {
      closeSync(base)
    }
  }

  async #ofStopped({ id, record }: Container, thread: WorkerCalls<ArchiveJobs>, rootOnly: boolean): Promise<{ fd: number; leave(): Promise<void> }> {
    return this.#locks.run(id, async () => {
      const root = this.#roots.get(id) ?? (await this.#mountRoot(id, thread))
      root.users++
      try {
        if (!rootOnly) root.volumes ??= await this.#ctx.deps.volumes.attach(id)
        const readonlyRoot = record.definition.host.ReadonlyRootfs ?? false
        const fd = await thread.call('view', { base: root.fd, rootOnly, volumes: rootOnly ? [] : (root.volumes ?? []), readonlyRoot })
        return { fd, leave: () => this.#locks.run(id, () => this.#leave(id, root)) }
      } catch (error) {
        await this.#leave(id, root)
        throw error
      }
    })
  }

  /** One that copies for nobody ends after some time; while a client is slow it has nothing to do, and stays. */
  #giveThread(thread: Thread): void {
    if (--thread.views > 0) return
    thread.ending = setTimeout(() => void thread.calls.end(), this.#linger).unref()
  }

  async #mountRoot(id: string, thread: WorkerCalls<ArchiveJobs>): Promise<StoppedRoot> {
    // Any directory of this machine does, as the mount is in the namespace only.
    const fd = await thread.call('root', await this.#ctx.deps.snapshotter.mounts(id), this.#ctx.options.stateDir)
    const root: StoppedRoot = { fd, users: 0, volumes: undefined }
    this.#roots.set(id, root)
    return root
  }

  async #leave(id: string, root: StoppedRoot): Promise<void> {
    if (--root.users > 0) return
    this.#roots.delete(id)
    closeSync(root.fd)
    if (root.volumes) await this.#ctx.deps.volumes.detach(id)
  }
}

function takeThread(thread: Thread): void {
  thread.views++
  clearTimeout(thread.ending)
}
