import type { Descriptor } from '@berth/oci'
import { familiarReference, parseReference } from '@berth/oci'
import type { Root } from './image.ts'

/** The annotations by which an `index.json` names its entries: the whole name, after containerd, and the tag, after OCI. */
export const nameAnnotation = 'io.containerd.image.name'
export const tagAnnotation = 'org.opencontainers.image.ref.name'

/** The entries of an `index.json` for a root: one for each of its names, or one without. */
export function namedDescriptors({ names, descriptor }: Root): Descriptor[] {
  const { annotations, ...rest } = descriptor
  const { [nameAnnotation]: _, [tagAnnotation]: tag, ...others } = annotations ?? {}
  const withAnnotations = (own: Record<string, string>) => {
    const all = { ...others, ...own }
    return { ...rest, ...(Object.keys(all).length > 0 && { annotations: all }) }
  }
  // A root that has a tag alone, as in layouts of other tools, keeps it.
  if (names.length === 0) return [withAnnotations(tag === undefined ? {} : { [tagAnnotation]: tag })]
  return names.map((name) => {
    const reference = parseReference(name)
    return withAnnotations({ [nameAnnotation]: name, ...(reference.tag !== undefined && { [tagAnnotation]: reference.tag }) })
  })
}

/** The names that have a tag, as a `manifest.json` has them: `busybox:latest`. */
export function repoTags(names: readonly string[]): string[] {
  return names.map((name) => parseReference(name)).filter(({ tag }) => tag !== undefined).map(({ digest: _, ...tagged }) => familiarReference(tagged))
}

/** Roots with each digest once, its names together. */
export function mergeRoots(roots: Iterable<Root>): Root[] {
  const merged = new Map<string, { descriptor: Descriptor; names: Set<string> }>()
  for (const { names, descriptor } of roots) {
    const known = merged.get(descriptor.digest) ?? { descriptor, names: new Set() }
    for (const name of names) known.names.add(name)
    merged.set(descriptor.digest, known)
  }
  return [...merged.values()].map(({ descriptor, names }) => ({ descriptor, names: [...names] }))
}
