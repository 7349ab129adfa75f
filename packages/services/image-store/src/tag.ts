import { BerthError } from '@berth/core'
import { familiarReference, familiarRepository, isTag, parseReference, type Reference, withDefaultTag } from '@berth/oci'
import { findImage, storedName } from './resolve.ts'
import { emitImage, type Store } from './store.ts'

/**
 * Gives an image another name, taking it from the image that has it. A name that is for several platforms gives all of them on.
 * @throws as `findImage`; `invalid-argument` for a name that cannot be given.
 */
export async function tagImage(store: Store, ref: string, to: { repo: string; tag?: string | undefined }): Promise<void> {
  const { image, target } = findImage(store, ref)
  const reference = targetReference(to.repo, to.tag)
  const { names } = store.records
  const images = target === undefined ? [{ imageId: image.id, manifest: image.manifest }] : names.imagesOf(target)
  names.add([storedName(reference)], target ?? image.manifest, images)
  store.records.images.touchTag(image.id, Date.now())
  await store.records.sync()
  emitImage(store, 'tag', image.id, familiarReference(reference), image.labels)
}

/**
 * A name to give: the tag on its own outweighs the one in `repo`, and is `latest` without either.
 * @throws `invalid-argument` in Docker's words.
 */
export function targetReference(repo: string, tag: string | undefined): Reference {
  const reference = parseReference(repo)
  if (reference.digest !== undefined) throw invalid('refusing to create a tag with a digest reference')
  if (familiarRepository(reference) === 'sha256') throw invalid('refusing to create an ambiguous tag using digest algorithm as name')
  if (tag && !isTag(tag)) throw invalid('invalid tag format')
  return withDefaultTag({ ...reference, ...(tag && { tag }) })
}

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'INVALID_TAG', message)
}
