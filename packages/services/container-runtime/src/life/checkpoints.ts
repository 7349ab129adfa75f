import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { BerthError, isErrno, messageOf } from '@berth/core'
import type { Container } from '../container.ts'
import { type Context, emit, noteState, stateDirOf } from '../context.ts'

/** States of running containers that are kept in directories, each under a name, to go on from. */
export interface CheckpointOperations {
  /** Throws `conflict` for a name that is taken or a container that does not run, `unavailable` where the machine lacks criu. */
  create(ref: string, options: CreateCheckpointOptions): Promise<void>
  list(ref: string, options?: CheckpointPlace): Promise<{ Name: string }[]>
  /** Throws `not-found` for a name that there is not. */
  remove(ref: string, id: string, options?: CheckpointPlace): Promise<void>
}

export interface CheckpointPlace {
  /** Absolute path of a directory; one of the container's own when absent. */
  dir?: string | undefined
}

export interface CreateCheckpointOptions extends CheckpointPlace {
  /** Its name: letters, digits, `_`, `.` and `-`. */
  id: string
  /** End the container once its state is kept. Its restart policy does not start it again. */
  exit: boolean
}

const idPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/
/** What Docker's clients and others find a checkpoint's name by. */
const descriptionFile = 'config.json'

/** Where a container's checkpoint is. Throws `invalid-argument` for what is no name, so that none leads out of the directory. */
function checkpointPath(ctx: Context, container: Container, id: string, { dir }: CheckpointPlace): string {
  if (!idPattern.test(id)) throw new BerthError('invalid-argument', 'CHECKPOINT_ID_INVALID', `Invalid checkpoint ID (${id}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`)
  return join(checkpointDirectory(ctx, container, dir), id)
}

function checkpointDirectory(ctx: Context, { id }: Container, dir: string | undefined): string {
  if (!dir) return join(stateDirOf(ctx, id), 'checkpoints')
  if (!isAbsolute(dir)) throw new BerthError('invalid-argument', 'CHECKPOINT_DIR_INVALID', `checkpoint directory ${dir} must be an absolute path`)
  return dir
}

/** The directory of a checkpoint that is there. Throws `not-found`. */
export function findCheckpoint(ctx: Context, container: Container, id: string, place: CheckpointPlace): string {
  const path = checkpointPath(ctx, container, id, place)
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path
  throw new BerthError('not-found', 'CHECKPOINT_NOT_FOUND', `checkpoint ${id} does not exist for container ${container.name}`)
}

export async function createCheckpoint(ctx: Context, container: Container, { id, exit, ...place }: CreateCheckpointOptions): Promise<void> {
  const { name, record } = container
  if (record.definition.config.Tty) throw new BerthError('invalid-argument', 'CHECKPOINT_TTY', 'checkpoint not support on containers with tty')
  const directory = checkpointPath(ctx, container, id, place)
  const { run } = container
  await ctx.locks.run(container.id, async () => {
    if (!run || container.run !== run) throw new BerthError('conflict', 'CONTAINER_NOT_RUNNING', `Container ${container.id} is not running`)
    make(directory, `checkpoint with name ${id} already exists for container ${name}`)
    const { manuallyStopped } = container.state
    try {
      if (exit) {
        container.state.manuallyStopped = true
        noteState(ctx, container)
      }
      await run.task.checkpoint({ directory, exit })
      writeFileSync(join(directory, descriptionFile), JSON.stringify({ created: new Date().toISOString(), name: id }), { mode: 0o600 })
    } catch (error) {
      container.state.manuallyStopped = manuallyStopped
      noteState(ctx, container)
      rmSync(directory, { recursive: true, force: true })
      const kind = error instanceof BerthError ? error.kind : 'internal'
      throw new BerthError(kind, 'CHECKPOINT_FAILED', `Cannot checkpoint container ${name}: ${messageOf(error)}`, { cause: error })
    }
  })
  emit(ctx, container, 'checkpoint')
  if (exit) await run?.ended
}

function make(directory: string, taken: string): void {
  mkdirSync(join(directory, '..'), { recursive: true, mode: 0o700 })
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    if (isErrno(error, 'EEXIST')) throw new BerthError('conflict', 'CHECKPOINT_EXISTS', taken)
    throw error
  }
}

export function listCheckpoints(ctx: Context, container: Container, { dir }: CheckpointPlace = {}): { Name: string }[] {
  const directory = checkpointDirectory(ctx, container, dir)
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && isDescribed(join(directory, entry.name)))
      .map(({ name }) => ({ Name: name }))
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}

function isDescribed(directory: string): boolean {
  try {
    return readFileSync(join(directory, descriptionFile)).length > 0
  } catch {
    return false
  }
}

export function removeCheckpoint(ctx: Context, container: Container, id: string, place: CheckpointPlace = {}): void {
  rmSync(findCheckpoint(ctx, container, id, place), { recursive: true })
}
