import type { Container } from '../container.ts'
import type { Context } from '../context.ts'
import { isEngineDirectory, isEngineFile } from '../life/engine-files.ts'

/** As `docker diff` shows it: `Kind` is 0 for modified, 1 for added, 2 for deleted. */
export interface ContainerChange {
  Path: string
  Kind: 0 | 1 | 2
}

const kinds = { modified: 0, added: 1, deleted: 2 } as const

/** What a container has changed in its image's files, without what its start made for the engine. */
export async function changesOf({ deps }: Context, { id }: Container, signal: AbortSignal | undefined): Promise<ContainerChange[]> {
  const changes: ContainerChange[] = []
  const parents = new Set<string>()
  for await (const { path, kind } of deps.snapshotter.changes(id, signal ? { signal } : {})) {
    if (isEngineFile(path) && kind !== 'deleted') continue
    changes.push({ Path: path, Kind: kinds[kind] })
    parents.add(path.slice(0, path.lastIndexOf('/')))
  }
  return changes.flatMap((change) => {
    if (!isEngineDirectory(change.Path) || change.Kind === kinds.deleted) return [change]
    // One with nothing in it that changed is there, or has changed its time, because of the engine.
    return parents.has(change.Path) ? [{ ...change, Kind: kinds.modified }] : []
  })
}
