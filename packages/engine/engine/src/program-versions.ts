import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface ProgramVersions {
  runc: string
  shim: string
  init: string
}

/** Versions of the programs that containers run under, as they tell; empty for one that does not. */
export async function programVersions(): Promise<ProgramVersions> {
  const [runc, shim, init] = await Promise.all([versionOf('runc', '--version'), versionOf('containerd-shim-runc-v2', '-v'), versionOf('tini-static', '--version')])
  return { runc, shim, init }
}

async function versionOf(program: string, flag: string): Promise<string> {
  try {
    const { stdout } = await run(program, [flag], { timeout: 5000 })
    return /version:?\s+v?(\S+)/i.exec(stdout)?.[1] ?? ''
  } catch {
    return ''
  }
}
