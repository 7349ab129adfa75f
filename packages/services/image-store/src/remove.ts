import type { ImageDeleteResponseItem } from '@berth/api-types'
import { BerthError, shortId } from '@berth/core'
import { familiarReference, parseReference, repositoryOf } from '@berth/oci'
import { collect } from './collect.ts'
import type { ImageRecord } from './records.ts'
import { findImage } from './resolve.ts'
import { emitImage, type Store } from './store.ts'

/** `conflict: …` in Docker's words; `isUse` when a container stands in the way. */
interface DeleteConflict {
  message: string
  isUse: boolean
}

/**
 * Removes a name, and the image with its last one. Given an ID, removes the image with all its names, if they are of one repository or `force` is set.
 * @throws `not-found`; `conflict` in Docker's words when containers or other names need the image.
 */
export async function removeImage(store: Store, ref: string, { force }: { force: boolean }): Promise<ImageDeleteResponseItem[]> {
  const { image, name } = findImage(store, ref)
  const { id } = image
  const removed: ImageDeleteResponseItem[] = []
  const untag = (stored: string) => removed.push(untagImage(store, image, stored))

  let names = store.records.namesOf(id)
  if (name !== undefined) {
    const user = store.usage(id)[0]
    if (!force && isOneReference(names) && user) {
      throw conflict(
        `conflict: unable to remove repository reference "${ref}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortOf(id)}`,
      )
    }
    untag(name)
    names = store.records.namesOf(id)
    const { digest, ...rest } = parseReference(name)
    const inRepository = names.filter((other) => repositoryOf(parseReference(other)) === repositoryOf(rest))
    // Digests alone do not keep an image once its last tag in their repository is gone.
    if (digest === undefined && inRepository.every((other) => parseReference(other).digest !== undefined)) inRepository.forEach(untag)
    names = store.records.namesOf(id)
    if (names.length > 0) return removed
    const inTheWay = deleteConflict(store, id, { force, names: [] })
    if (inTheWay?.isUse) return removed
    if (inTheWay) throw conflict(inTheWay.message)
  } else {
    const isOne = isOneReference(names)
    const inTheWay = deleteConflict(store, id, { force, names: isOne ? [] : names })
    if (inTheWay) throw conflict(inTheWay.message)
  }
  removed.push(...forgetImage(store, image, names))
  const { layers } = await collect(store, { keepBlobs: false })
  return [...removed, ...layers.map((chain) => ({ Deleted: chain }))]
}

/** Takes an image and its names out of the records; what only it needed is left to be collected. */
export function forgetImage(store: Store, image: ImageRecord, names: readonly string[]): ImageDeleteResponseItem[] {
  const untagged = names.map((name) => untagImage(store, image, name))
  store.records.removeImage(image.id)
  emitImage(store, 'delete', image.id, image.id, image.labels)
  return [...untagged, { Deleted: image.id }]
}

function untagImage(store: Store, image: ImageRecord, name: string): ImageDeleteResponseItem {
  store.records.removeName(name)
  emitImage(store, 'untag', image.id, image.id, image.labels)
  return { Untagged: familiarReference(parseReference(name)) }
}

/** Whether the names are one tag with digests of its repository, or digests of one repository. */
function isOneReference(names: readonly string[]): boolean {
  const references = names.map(parseReference)
  return references.filter(({ digest }) => digest === undefined).length <= 1 && new Set(references.map(repositoryOf)).size <= 1
}

function deleteConflict(store: Store, id: string, { force, names }: { force: boolean; names: readonly string[] }): DeleteConflict | undefined {
  const users = store.usage(id)
  const say = (forced: string, why: string) => `conflict: unable to delete ${shortOf(id)} (${forced}) - ${why}`
  const running = users.find((user) => user.running)
  if (running) return { message: say('cannot be forced', `image is being used by running container ${shortId(running.id)}`), isUse: true }
  if (force) return undefined
  if (names.length > 0) return { message: say('must be forced', 'image is referenced in multiple repositories'), isUse: false }
  const [stopped] = users
  if (stopped) return { message: say('must be forced', `image is being used by stopped container ${shortId(stopped.id)}`), isUse: true }
  return undefined
}

function shortOf(id: string): string {
  return shortId(id.replace(/^[^:]*:/, ''))
}

function conflict(message: string): BerthError {
  return new BerthError('conflict', 'IMAGE_IN_USE', message)
}
