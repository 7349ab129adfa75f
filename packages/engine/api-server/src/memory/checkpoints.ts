import { BerthError } from '@berth/core'
import type { CheckpointBackend } from '../backend.ts'
import type { MemoryContainers } from './containers.ts'

/** Names of checkpoints; a container that goes on from one begins anew. */
export class MemoryCheckpoints implements CheckpointBackend {
  readonly #containers: MemoryContainers
  readonly #names = new Map<string, Set<string>>()

  constructor(containers: MemoryContainers) {
    this.#containers = containers
  }

  async create(ref: string, { id, exit }: Parameters<CheckpointBackend['create']>[1]): Promise<void> {
    const { isRunning, name } = this.#containers.get(ref)
    if (!isRunning) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `Container ${ref} is not running`)
    const names = this.#of(ref)
    if (names.has(id)) throw new BerthError('conflict', 'CHECKPOINT_EXISTS', `checkpoint with name ${id} already exists for container ${name}`)
    names.add(id)
    if (exit) await this.#containers.kill(ref, { signal: 'KILL' })
  }

  async list(ref: string): Promise<{ Name: string }[]> {
    return [...this.#of(ref)].map((Name) => ({ Name }))
  }

  async remove(ref: string, id: string): Promise<void> {
    if (!this.#of(ref).delete(id)) throw new BerthError('not-found', 'CHECKPOINT_NOT_FOUND', `checkpoint ${id} does not exist for container ${this.#containers.get(ref).name}`)
  }

  #of(ref: string): Set<string> {
    const { id } = this.#containers.get(ref)
    const names = this.#names.get(id) ?? new Set()
    this.#names.set(id, names)
    return names
  }
}
