import { createWriteStream, renameSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { isErrno } from '@berth/core'
import { type Cli, usageError } from '../cli.ts'

/**
 * Writes an archive to a file, which is there only when it is whole, or to standard output.
 * @throws `invalid-argument` rather than fill a terminal with it, and for a file that cannot be there.
 */
export async function writeArchive(cli: Cli, archive: AsyncIterable<Uint8Array>, { file, verb }: { file: string | undefined; verb: 'save' | 'export' }): Promise<void> {
  if (file !== undefined) return writeFile(file, archive)
  const { stdout } = cli.io
  if (stdout.isTTY) throw usageError(`cowardly refusing to ${verb} to a terminal. Use the -o flag or redirect`)
  for await (const chunk of archive) if (!stdout.write(chunk)) await new Promise<void>((done) => void stdout.once('drain', done))
}

async function writeFile(file: string, archive: AsyncIterable<Uint8Array>): Promise<void> {
  checkOutputPath(file)
  const target = statOf(file)
  // A device or a pipe cannot be replaced: it takes what comes.
  if (target && !target.isFile()) return pipeline(archive, createWriteStream(file))
  const partial = resolve(dirname(file), `.berth-${process.pid}-${Date.now()}.partial`)
  // Open before anything can fail, so that what is removed then is there already.
  const opened = await open(partial, 'wx', 0o600)
  try {
    await pipeline(archive, opened.createWriteStream())
    renameSync(partial, file)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
}

function checkOutputPath(file: string): void {
  if (!statOf(dirname(file))?.isDirectory()) throw usageError(`invalid output path: directory "${dirname(file)}" does not exist`)
  if (statOf(file)?.isDirectory()) throw usageError(`invalid output path: "${file}" is a directory`)
}

function statOf(path: string): ReturnType<typeof statSync> {
  try {
    return statSync(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}
