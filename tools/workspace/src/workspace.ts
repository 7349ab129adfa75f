import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Layer = 'foundation' | 'port' | 'driver' | 'service' | 'engine' | 'app' | 'tool' | 'example'

export interface Manifest {
  name: string
  version?: string
  private?: boolean
  description?: string
  berth?: { layer: Layer; entries?: string[]; workers?: string[]; bin?: Record<string, string>; generate?: string }
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  scripts?: Record<string, string>
  [field: string]: unknown
}

export interface WorkspacePackage {
  /** Folder relative to the root, with `/` separators. */
  dir: string
  manifest: Manifest
}

export const root = join(import.meta.dirname, '../../..')

function children(dir: string): string[] {
  return existsSync(join(root, dir))
    ? readdirSync(join(root, dir), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => `${dir}/${entry.name}`)
    : []
}

/** Every package of the workspace, in a stable order. */
export function readWorkspace(): WorkspacePackage[] {
  const dirs = [...children('packages').flatMap(children), ...children('apps'), ...children('tools'), 'e2e', ...children('examples')]
  return dirs
    .filter((dir) => existsSync(join(root, dir, 'package.json')))
    .map((dir) => ({ dir, manifest: JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8')) as Manifest }))
    .toSorted((a, b) => a.dir.localeCompare(b.dir))
}
