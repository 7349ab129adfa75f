import { BerthError } from '@berth/core'
import { type Descriptor, formatReference, mediaTypes, parseIndex, parseReference, withDefaultTag } from '@berth/oci'
import type { ArchiveFiles } from './archive-files.ts'
import type { ReadOptions, Root } from './image.ts'
import { nameAnnotation, tagAnnotation } from './names.ts'
import { isDocument } from './read-document.ts'
import { malformedFile, readJsonFile, readSmallFile } from './read-json.ts'

/**
 * What the `index.json` of an OCI layout names; undefined if the files are no layout.
 * @throws `invalid-argument` for a layout of another version or a malformed index.
 * @see OCI image spec, image-layout.md
 */
export async function layoutRoots(files: ArchiveFiles, options?: ReadOptions): Promise<Root[] | undefined> {
  const marker = await readJsonFile(files, 'oci-layout', options)
  const index = await readSmallFile(files, 'index.json', options)
  if (marker === undefined || index === undefined) return undefined
  const version = typeof marker === 'object' && marker !== null && 'imageLayoutVersion' in marker ? marker.imageLayoutVersion : undefined
  if (version !== '1.0.0') throw malformedFile('oci-layout', `version ${JSON.stringify(version)?.slice(0, 100)} is not supported, 1.0.0 is`)
  const roots: Root[] = []
  for (const descriptor of indexOf(index).manifests) {
    if (!isDocument(descriptor)) continue
    const name = nameOf(descriptor)
    roots.push({ descriptor, names: name === undefined ? [] : [name] })
  }
  return roots
}

function indexOf(bytes: Buffer) {
  try {
    return parseIndex(bytes, mediaTypes.ociIndex)
  } catch (error) {
    if (error instanceof BerthError) throw new BerthError(error.kind, error.code, `index.json: ${error.message}`, { cause: error })
    throw error
  }
}

/** A whole name as containerd writes it, or one that stands where OCI has a tag, which `skopeo copy … oci-archive:FILE:NAME` writes. A tag alone is no name. */
function nameOf({ annotations }: Descriptor): string | undefined {
  const whole = annotations?.[nameAnnotation]
  if (whole !== undefined) return referenceOf(whole)
  const tag = annotations?.[tagAnnotation]
  return tag !== undefined && /[/:@]/.test(tag) ? referenceOf(tag) : undefined
}

/** Annotations may hold anything; what is no reference names nothing. */
function referenceOf(text: string): string | undefined {
  try {
    return formatReference(withDefaultTag(parseReference(text)))
  } catch {
    return undefined
  }
}
