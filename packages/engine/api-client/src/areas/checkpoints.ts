import type { RequestOptions, Transport } from '../transport.ts'

export interface CheckpointPlace extends RequestOptions {
  /** Where on the engine's machine checkpoints are; among the container's own files when absent. */
  dir?: string | undefined
}

export interface CreateCheckpointOptions extends CheckpointPlace {
  id: string
  /** End the container once its state is kept. */
  exit: boolean
}

const pathOf = (ref: string): string => `/containers/${encodeURIComponent(ref)}/checkpoints`

/** States of running containers that are kept, to go on from. All of it throws `unavailable` where the engine's machine lacks `criu`. */
export class CheckpointsArea {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Throws `conflict` when the container has one of that name. */
  async create(ref: string, { id, dir, exit, signal }: CreateCheckpointOptions): Promise<void> {
    return this.#transport.json('POST', pathOf(ref), { json: { CheckpointID: id, CheckpointDir: dir, Exit: exit }, signal })
  }

  async list(ref: string, { dir, signal }: CheckpointPlace = {}): Promise<{ Name: string }[]> {
    return (await this.#transport.json<{ Name: string }[] | null>('GET', pathOf(ref), { query: { dir }, signal })) ?? []
  }

  async remove(ref: string, id: string, { dir, signal }: CheckpointPlace = {}): Promise<void> {
    return this.#transport.json('DELETE', `${pathOf(ref)}/${encodeURIComponent(id)}`, { query: { dir }, signal })
  }
}
