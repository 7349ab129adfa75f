import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, constants, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mknod, readMountInfo } from '@berth/linux'
import type { OciRuntime, Task } from '@berth/oci-runtime'
import type { ContainerRuntimeDependencies, ContainerRuntimeOptions, VolumeMount } from '../src/index.ts'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'

export interface RealFiles extends AsyncDisposable {
  engine: FakeEngine
  directory: string
  /** What containers have changed, on this machine. */
  upper(id: string): string
  /** A directory of this machine, mounted in all containers that are made from now on. */
  volumes: VolumeMount[]
  /** How many containers have their volumes attached. */
  attached(): number
  /** Ends a container's process in such a way that nobody is told. */
  lose(id: string): void
  /** Removes all containers and volumes, and what else lies in the directory. */
  clear(): Promise<void>
  /** Makes a container; `script` is run by its shell, with a proc file system at /proc if `proc` says whose, until it is killed. */
  container(options?: { script?: string; host?: object; config?: object; proc?: 'own' | 'host' }): Promise<string>
}

/** The applets of busybox that tests use. */
const applets = ['sh', 'cat', 'echo', 'ln', 'mkdir', 'mkfifo', 'mv', 'rm', 'sleep', 'touch', 'mount', 'umount', 'chroot', 'unshare']

/** A container runtime whose containers have real files: overlays on a busybox, and, when they run, a process in a mount namespace. Networks, images and what processes do are fakes. */
export async function realFiles(options: Partial<ContainerRuntimeOptions> = {}): Promise<RealFiles> {
  const directory = mkdtempSync(join(tmpdir(), 'container-files-'))
  const lower = join(directory, 'lower')
  for (const name of ['bin', 'dev', 'etc', 'proc', 'tmp']) mkdirSync(join(lower, name), { recursive: true })
  copyFileSync('/bin/busybox', join(lower, 'bin/busybox'))
  for (const applet of applets) symlinkSync('busybox', join(lower, 'bin', applet))
  writeFileSync(join(lower, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home:/bin/sh\n')
  writeFileSync(join(lower, 'etc/hosts'), '')
  mknod(join(lower, 'dev/null'), constants.S_IFCHR | 0o666, { major: 1, minor: 3 })
  chmodSync(lower, 0o755)
  const volumes: VolumeMount[] = []
  const attached = new Map<string, number>()
  const scripts = new Map<string, { script: string; proc: string | undefined; volumes: VolumeMount[] }>()
  const losses = new Map<string, () => void>()
  const upper = (id: string): string => join(directory, id, 'upper')
  const mountsOf = (id: string) => {
    for (const name of ['upper', 'work']) mkdirSync(join(directory, id, name), { recursive: true })
    return [{ type: 'overlay', source: 'overlay', options: [`lowerdir=${lower}`, `upperdir=${upper(id)}`, `workdir=${join(directory, id, 'work')}`] }]
  }
  const engine = await fakeEngine({}, (fakes) => ({
    snapshotter: { ...fakes.snapshotter, name: 'overlay', mounts: async (key) => mountsOf(key) } as ContainerRuntimeDependencies['snapshotter'],
    volumes: {
      ...fakes.volumes,
      async attach(id) {
        attached.set(id, (attached.get(id) ?? 0) + 1)
        return scripts.get(id)?.volumes ?? []
      },
      async detach(id) {
        attached.delete(id)
      },
      async release(id, options) {
        attached.delete(id)
        await fakes.volumes.release(id, options)
      },
    },
    runtimes: new Map([...fakes.runtimes].map(([name, runtime]) => [name, withProcesses(runtime, losses, (id) => processOf(directory, id, mountsOf(id), scripts.get(id)!))])),
  }), options)
  const clear = async (): Promise<void> => {
    for (const { Id } of await engine.runtime.containers.list({ all: true, size: false, filters: new Map() })) {
      await engine.runtime.containers.remove(Id!, { force: true, volumes: true, link: false })
    }
    volumes.length = 0
    for (const name of readdirSync(directory)) if (name !== 'lower') rmSync(join(directory, name), { recursive: true })
  }
  return {
    engine,
    directory,
    upper,
    volumes,
    attached: () => attached.size,
    lose: (id) => losses.get(id)?.(),
    clear,
    async container({ script = 'sleep 1000', host = {}, config = {}, proc } = {}) {
      const { Id } = await engine.runtime.containers.create(undefined, { Image: 'busybox', Cmd: ['sleep'], ...config, HostConfig: host }, {})
      scripts.set(Id, { script, proc, volumes: [...volumes] })
      return Id
    },
    async [Symbol.asyncDispose]() {
      await clear()
      await engine[Symbol.asyncDispose]()
      if (readMountInfo().some(({ mountPoint }) => mountPoint.startsWith(directory))) throw new Error('a mount was left behind')
      rmSync(directory, { recursive: true })
    },
  }
}

/** Begins a process with a root file system and a mount namespace of its own, and waits until its script says that it is ready or runs. */
async function processOf(
  directory: string,
  id: string,
  [overlay]: { options: string[] }[],
  { script, proc, volumes }: { script: string; proc: string | undefined; volumes: VolumeMount[] },
): Promise<ChildProcess> {
  const root = join(directory, id, 'root')
  mkdirSync(root, { recursive: true })
  const mounts = volumes.map(({ source, destination, options }) =>
    `mkdir -p ${root}${destination} && mount --bind ${source} ${root}${destination} && mount -o remount,bind,${options.includes('ro') ? 'ro' : 'rw'} ${root}${destination}`)
  const commands = [
    `mount -t overlay -o ${overlay!.options.join(',')} overlay ${root}`,
    ...mounts,
    ...(proc === 'own' ? [`mount -t proc proc ${root}/proc`] : proc === 'host' ? [`mount --rbind /proc ${root}/proc`] : []),
    `cd ${root} && pivot_root . tmp && exec /bin/chroot . /bin/sh -c 'umount -l /tmp; echo ready; ${script}'`,
  ]
  // All of it ends with its first process, and that with this one.
  const unshare = ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child']
  const child = spawn('/usr/bin/env', [...unshare, 'sh', '-ec', commands.join('\n')], { stdio: ['ignore', 'pipe', 'inherit'] })
  await Promise.race([once(child.stdout!, 'data'), once(child, 'exit').then(() => Promise.reject(new Error('the process ended early')))])
  return child
}

/** A runtime whose tasks are those of another, except that each has a process. `losses` learns how to lose one. */
function withProcesses(runtime: OciRuntime, losses: Map<string, () => void>, begin: (id: string) => Promise<ChildProcess>): OciRuntime {
  return new Proxy(runtime, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (property !== 'create') return typeof value === 'function' ? (value as () => unknown).bind(target) : value
      return async (options: Parameters<OciRuntime['create']>[0]) => {
        const task = await target.create(options)
        const child = await begin(options.id)
        const lost = Promise.withResolvers<never>()
        lost.promise.catch(() => {})
        losses.set(options.id, () => {
          child.kill('SIGKILL')
          void once(child, 'exit').then(() => lost.reject(new Error('lost')))
        })
        return new Proxy(task, {
          get(of: Task, name) {
            if (name === 'pid') return child.pid
            if (name === 'wait') {
              return async () => {
                const exit = await Promise.race([of.wait(), lost.promise])
                const ended = once(child, 'exit')
                if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
                if (child.exitCode === null && child.signalCode === null) await ended
                return exit
              }
            }
            const member: unknown = Reflect.get(of, name, of)
            return typeof member === 'function' ? (member as () => unknown).bind(of) : member
          },
        })
      }
    },
  })
}
