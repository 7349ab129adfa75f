import { lstatSync, readlinkSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { type EngineClient, isDirectory, isSymbolicLink, type PathStat } from '@berth/api-client'
import { BerthError, isErrno, isKind } from '@berth/core'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'
import { absolutePath, containerPath, type CopyTarget, followed, planCopy, resolvedSource, splitPath } from '../files/copy-paths.ts'
import { humanSize } from '../output/human.ts'

interface CopyFlags {
  archive?: boolean
  followLink?: boolean
  quiet?: boolean
}

/** Links that are followed on this machine before they count as a circle. */
const maxLinks = 255

export function copyCommand(cli: Cli): Command {
  return new Command('cp')
    .description('copy files between a container and this machine')
    .argument('<source>', 'container:path or path; - reads a tar archive from standard input')
    .argument('<target>', 'path or container:path; - writes a tar archive to standard output')
    .option('-a, --archive', "what is copied in belongs to the container's user, if it has one")
    .option('-L, --follow-link', 'copy what a link leads to, not the link')
    .option('-q, --quiet', 'say nothing')
    .addHelpText('after', '\nExamples:\n  berth cp web:/etc/hosts .\n  berth cp site/. web:/srv/www\n  berth cp web:/var/log - | tar -t')
    .action(async (source: string, target: string, flags: CopyFlags) => {
      const [from, to] = [containerPath(source), containerPath(target)]
      if ((from ?? to)?.container === '') throw usageError('must specify at least one container source')
      if (from && to) throw usageError('copying between containers is not supported')
      if (!from && !to) throw usageError('must specify at least one container source')
      const engine = await cli.engine()
      if (from) await copyOut(cli, engine, { ...from, target, ...flags })
      else if (to) await copyIn(cli, engine, { ...to, source, ...flags })
    })
}

type CopyOut = CopyFlags & { container: string; path: string; target: string }

async function copyOut(cli: Cli, { containers }: EngineClient, { container, path, target, followLink, quiet }: CopyOut): Promise<void> {
  const local = target === '-' ? undefined : absolutePath(target)
  if (local !== undefined) checkTarget(local, target)
  const source = followLink ? await followInContainer(containers, container, path) : { path, rebaseName: undefined }
  const { stat, archive } = await containers.readArchive(container, source.path)
  if (local === undefined) return writeOut(cli, archive)
  const plan = planCopy({ ...source, isDirectory: isDirectory(stat) }, localTarget(local))
  const { unpackFiles } = await import('../files/unpack-files.ts')
  const { bytes } = await unpackFiles(archive, { ...plan, onSkip: (name) => void cli.io.stderr.write(`skipped ${name}: neither a file nor a directory nor a link\n`) })
  if (!quiet) cli.io.stderr.write(`Successfully copied ${humanSize(bytes)} to ${local}\n`)
}

async function writeOut({ io }: Cli, archive: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of archive) if (!io.stdout.write(chunk)) await new Promise<void>((done) => void io.stdout.once('drain', done))
}

async function followInContainer(containers: EngineClient['containers'], container: string, path: string): Promise<{ path: string; rebaseName: string | undefined }> {
  const stat = await statInContainer(containers, container, path)
  return stat && isSymbolicLink(stat) ? followed(path, stat.linkTarget) : { path, rebaseName: undefined }
}

/** Undefined for what is not there, or not where it is said to be (`/file/`); what is wrong is told by what is done next. */
async function statInContainer(containers: EngineClient['containers'], container: string, path: string): Promise<PathStat | undefined> {
  try {
    return await containers.statPath(container, path)
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'invalid-argument')) return undefined
    throw error
  }
}

function checkTarget(path: string, written: string): void {
  const { directory } = splitPath(path)
  if (!localStat(directory)?.isDirectory()) throw usageError(`invalid output path: directory "${directory}" does not exist`)
  const found = localStat(path)
  if (found && !found.isDirectory() && !found.isFile()) throw usageError(`invalid output path: "${written}" must be a directory or a regular file`)
}

/** What is at a path of this machine, its links followed also where they lead to what is not there. */
function localTarget(path: string): CopyTarget {
  let at = path
  for (let links = 0; links < maxLinks; links++) {
    const found = localStat(at, lstatSync)
    if (!found?.isSymbolicLink()) return { path: at, isDirectory: found?.isDirectory() }
    const target = readlinkSync(at.replace(/\/\.?$/, ''))
    at = isAbsolute(target) ? target : join(dirname(at), target)
  }
  throw usageError(`too many links: ${path}`)
}

function localStat(path: string, stat: typeof lstatSync = statSync): ReturnType<typeof lstatSync> {
  try {
    return stat(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

type CopyIn = CopyFlags & { container: string; path: string; source: string }

async function copyIn(cli: Cli, { containers }: EngineClient, { container, path, source, archive: copyUidGid, followLink, quiet }: CopyIn): Promise<void> {
  const target = await targetInContainer(containers, container, path)
  const options = { noOverwriteDirNonDir: true, copyUidGid }
  if (source === '-') {
    if (!target.isDirectory) throw usageError(`destination "${container}:${path}" must be a directory`)
    return containers.writeArchive(container, target.path, cli.io.stdin, options)
  }
  const local = localSource(absolutePath(source), followLink ?? false)
  const plan = planCopy(local, target)
  const { packFiles } = await import('../files/pack-files.ts')
  let bytes = 0
  const counted = async function* (): AsyncIterable<Uint8Array> {
    for (const chunk of packFiles(local.path, plan)) {
      bytes += chunk.length
      yield chunk
    }
  }
  await containers.writeArchive(container, plan.directory, counted(), options)
  if (!quiet) cli.io.stderr.write(`Successfully copied ${humanSize(bytes)} to ${container}:${target.path}\n`)
}

function localSource(path: string, followLink: boolean): { path: string; isDirectory: boolean; rebaseName: string | undefined } {
  try {
    const source = resolvedSource(path, { followLink })
    return { ...source, isDirectory: lstatSync(source.path).isDirectory() }
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) throw new BerthError('not-found', 'PATH_NOT_FOUND', `lstat ${path}: no such file or directory`, { cause })
    if (isErrno(cause, 'ENOTDIR')) throw new BerthError('invalid-argument', 'NOT_A_DIRECTORY', `lstat ${path}: not a directory`, { cause })
    throw cause
  }
}

/** Where it goes to in the container. The engine follows a link in front of the last part of a path; one in the last part is followed here, as docker does. */
async function targetInContainer(containers: EngineClient['containers'], container: string, path: string): Promise<CopyTarget> {
  const found = await statInContainer(containers, container, path)
  if (!found) return { path }
  if (!isSymbolicLink(found)) return { path, isDirectory: isDirectory(found) }
  const { path: target } = followed(path, found.linkTarget)
  const behind = await statInContainer(containers, container, target)
  return behind ? { path: target, isDirectory: isDirectory(behind) } : { path: target }
}
