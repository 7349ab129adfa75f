import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BerthError } from '@berth/core'
import type { Mount, SnapshotInfo } from '@berth/snapshotter'
import type { ContainerRuntimeDependencies } from '../dependencies.ts'

/** Writable file systems over directories, by overlayfs; what a container writes is gone with it. */
export class LocalSnapshots implements Pick<ContainerRuntimeDependencies['snapshotter'], 'name' | 'prepare' | 'mounts' | 'remove' | 'stat' | 'usage' | 'diff' | 'changes'> {
  readonly name = 'overlay'
  readonly #directory: string
  readonly #rootOf: (chainId: string) => string
  readonly #lowers = new Map<string, string>()

  constructor(directory: string, rootOf: (chainId: string) => string) {
    this.#directory = directory
    this.#rootOf = rootOf
  }

  async prepare(key: string, { parent }: { parent?: string | undefined } = {}): Promise<SnapshotInfo> {
    for (const part of ['upper', 'work', 'empty']) mkdirSync(join(this.#directory, key, part), { recursive: true, mode: 0o755 })
    this.#lowers.set(key, parent === undefined ? join(this.#directory, key, 'empty') : this.#rootOf(parent))
    return this.stat(key)
  }

  async mounts(key: string): Promise<Mount[]> {
    const lower = this.#lowers.get(key)
    if (lower === undefined) throw notFound(key)
    const path = (part: string): string => escaped(join(this.#directory, key, part))
    return [{ type: 'overlay', source: 'overlay', options: [`lowerdir=${escaped(lower)}`, `upperdir=${path('upper')}`, `workdir=${path('work')}`] }]
  }

  async stat(key: string): Promise<SnapshotInfo> {
    const stat = statSync(join(this.#directory, key), { throwIfNoEntry: false })
    if (!stat) throw notFound(key)
    return { name: key, kind: 'active', parent: undefined, createdAt: stat.birthtime }
  }

  async remove(key: string): Promise<void> {
    this.#lowers.delete(key)
    rmSync(join(this.#directory, key), { recursive: true, force: true })
  }

  async usage(): Promise<never> {
    throw unsupported()
  }

  diff(): AsyncIterable<Uint8Array> {
    throw unsupported()
  }

  changes(): ReturnType<ContainerRuntimeDependencies['snapshotter']['changes']> {
    throw unsupported()
  }
}

const notFound = (key: string): BerthError => new BerthError('not-found', 'SNAPSHOT_NOT_FOUND', `snapshot ${key}: not found`)
const unsupported = (): BerthError => new BerthError('not-implemented', 'CHANGES_MISSING', 'the changes of a container are not looked at here: use @berth/snapshotter-overlay')

/** A path as a value in the options of overlayfs, where `:` and `,` part values. */
const escaped = (path: string): string => path.replaceAll(/[\\:,]/g, '\\$&')
