import { BerthError, isErrno, messageOf } from '@berth/core'
import type { PathStat } from './path-stat.ts'
import type { Container } from '../container.ts'
import { type Context, emit } from '../context.ts'
import type { FilesView } from './files-view.ts'
import { type ResolvedUser, resolveUser } from '../spec/index.ts'

export interface WriteArchiveOptions {
  /** Whether it is refused that a directory takes the place of something else, or something else that of a directory. */
  noOverwriteDirNonDir: boolean
  /** Whether all that is made belongs to the container's user, whatever the archive says. */
  copyUidGid: boolean
  signal: AbortSignal
}

/** What failed at a path that a client named, in Docker's words. `ref` is how it named the container. */
function pathError(error: unknown, ref: string, path: string): unknown {
  if (isErrno(error, 'ENOENT') || (error instanceof BerthError && error.code === 'PATH_NOT_FOUND')) {
    return new BerthError('not-found', 'PATH_NOT_FOUND', `Could not find the file ${path} in container ${ref}`, { cause: error })
  }
  if (isErrno(error, 'ENOTDIR')) return new BerthError('invalid-argument', 'NOT_A_DIRECTORY', `${path}: not a directory`, { cause: error })
  if (isErrno(error, 'ELOOP', 'ENAMETOOLONG', 'EINVAL', 'EACCES')) return new BerthError('invalid-argument', 'PATH_INVALID', `${path}: ${messageOf(error)}`, { cause: error })
  return error
}

/** Throws `not-found` for a path that is not there. */
export async function statPath(ctx: Context, container: Container, ref: string, path: string): Promise<PathStat> {
  await using view = await ctx.files.open(container, { signal: ctx.closed })
  try {
    return await view.stat(path)
  } catch (error) {
    throw pathError(error, ref, path)
  }
}

/** A path with all below it as a tar. The container's files are let go of when the archive is read or given up, and by the signal in any case. */
export async function readArchive(
  ctx: Context,
  container: Container,
  ref: string,
  path: string,
  signal: AbortSignal,
): Promise<{ stat: PathStat; archive: AsyncIterable<Uint8Array> }> {
  const view = await ctx.files.open(container, { signal })
  try {
    const stat = await view.read(path)
    emit(ctx, container, 'archive-path')
    return { stat, archive: view.batches() }
  } catch (error) {
    await view.close()
    throw pathError(error, ref, path)
  }
}

/**
 * Unpacks a tar, perhaps compressed, into a directory of a container. What was unpacked before a failure stays.
 * @throws `not-found` for a directory that is not there; `invalid-argument` for one that is none, and for an archive that cannot be; `permission-denied` for a read-only one
 */
export async function writeArchive(ctx: Context, container: Container, ref: string, path: string, source: AsyncIterable<Uint8Array>, options: WriteArchiveOptions): Promise<void> {
  const { noOverwriteDirNonDir, copyUidGid, signal } = options
  await using view = await ctx.files.open(container, { signal })
  const owner = copyUidGid ? await userOf(container, view) : undefined
  try {
    await view.write(path, source, { noOverwriteDirNonDir, owner })
  } catch (error) {
    throw pathError(error, ref, path)
  }
  emit(ctx, container, 'extract-to-dir')
}

/** Undefined for a container that says nothing of its user: then the archive decides. */
async function userOf({ record }: Container, view: FilesView): Promise<Pick<ResolvedUser, 'uid' | 'gid'> | undefined> {
  const { User } = record.definition.config
  if (!User) return undefined
  const { uid, gid } = resolveUser(User, await view.accounts())
  return { uid, gid }
}

/** A container's root file system as a tar, without volumes and what else is mounted there. */
export async function exportContainer(ctx: Context, container: Container, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const view = await ctx.files.open(container, { rootOnly: true, signal })
  try {
    await view.readAll()
  } catch (error) {
    await view.close()
    throw error
  }
  emit(ctx, container, 'export')
  return view.batches()
}
