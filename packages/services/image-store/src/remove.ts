import type { ImageDeleteResponseItem } from '@berth/api-types'
import { BerthError, shortId } from '@berth/core'
import { familiarReference, parsePlatform, parseReference, repositoryOf } from '@berth/oci'
import { collect } from './collect.ts'
import type { ImageRecord } from './records/image-records.ts'
import { findImage, platformNotFound, selectImage } from './resolve.ts'
import { emitImage, type Store } from './store.ts'

export interface RemoveOptions {
  force: boolean
  /** Leave the nameless images that it was made of by commits. */
  noPrune?: boolean | undefined
  /** Only the images for these platforms; the name stays while it has others. */
  platforms?: readonly string[] | undefined
}

/** `conflict: …` in Docker's words; `isUse` when a container or a child stands in the way. */
interface DeleteConflict {
  message: string
  isUse: boolean
}

/**
 * Removes a name, and its images with their last one. Given an ID, removes the image with all its names, if they are of one repository or `force` is set.
 * @throws `not-found`; `conflict` in Docker's words when containers, other images or other names need the image.
 */
export async function removeImage(store: Store, ref: string, options: RemoveOptions): Promise<ImageDeleteResponseItem[]> {
  const removed = options.platforms && options.platforms.length > 0 ? removePlatforms(store, ref, options.platforms, options) : removeReference(store, ref, options)
  const { layers } = await collect(store, { keepBlobs: false })
  return [...removed, ...layers.map((chain) => ({ Deleted: chain }))]
}

function removeReference(store: Store, ref: string, options: RemoveOptions): ImageDeleteResponseItem[] {
  const { force } = options
  const { image, name, all } = findImage(store, ref)
  if (name === undefined) {
    const names = store.records.names.of(image.id)
    const inTheWay = deleteConflict(store, image.id, { force, names: isOneReference(names) ? [] : names })
    if (inTheWay) throw conflict(inTheWay.message)
    return forgetWithParents(store, image, options)
  }
  for (const { id } of all) {
    const user = store.usage(id)[0]
    if (!force && isOneReference(store.records.names.of(id)) && user) {
      throw conflict(
        `conflict: unable to remove repository reference "${ref}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortOf(id)}`,
      )
    }
  }
  const { digest, ...rest } = parseReference(name)
  const inRepository = store.records.names.of(image.id).filter((other) => other !== name && repositoryOf(parseReference(other)) === repositoryOf(rest))
  // Digests alone do not keep an image once its last tag in their repository is gone.
  const isLastTag = digest === undefined && inRepository.every((other) => parseReference(other).digest !== undefined)
  const leaving = isLastTag ? [name, ...inRepository] : [name]
  const stays = all.filter(({ id }) => store.records.names.of(id).some((other) => !leaving.includes(other)))
  const removed: ImageDeleteResponseItem[] = []
  const blocked = new Map(all.filter((each) => !stays.includes(each)).map((each) => [each.id, deleteConflict(store, each.id, { force, names: [] })]))
  for (const inTheWay of blocked.values()) if (inTheWay && !inTheWay.isUse) throw conflict(inTheWay.message)
  for (const each of leaving) removed.push(untagImage(store, image, each))
  for (const each of all) if (!stays.includes(each) && !blocked.get(each.id)) removed.push(...forgetWithParents(store, each, options))
  return removed
}

/** Removes of a name the images for some platforms. */
function removePlatforms(store: Store, ref: string, platforms: readonly string[], options: RemoveOptions): ImageDeleteResponseItem[] {
  const { all } = findImage(store, ref)
  const chosen = platforms.map((platform) => {
    const image = selectImage(all, parsePlatform(platform))
    if (!image) throw platformNotFound(ref, all, parsePlatform(platform))
    return image
  })
  for (const { id } of chosen) {
    const inTheWay = deleteConflict(store, id, { force: options.force, names: [] })
    if (inTheWay) throw conflict(inTheWay.message)
  }
  return [...new Set(chosen)].flatMap((image) => forgetWithParents(store, image, options))
}

/** Forgets an image, and after it those that it was made of and that nothing else needs. */
function forgetWithParents(store: Store, image: ImageRecord, { noPrune = false }: RemoveOptions): ImageDeleteResponseItem[] {
  const removed = forgetImage(store, image)
  const parent = image.parent === undefined || noPrune ? undefined : store.records.images.get(image.parent)
  if (!parent || store.records.names.of(parent.id).length > 0 || deleteConflict(store, parent.id, { force: false, names: [] })) return removed
  return [...removed, ...forgetWithParents(store, parent, { force: false })]
}

/** Takes an image, and the names that no other image has, out of the records; what only it needed is left to be collected. */
export function forgetImage(store: Store, image: ImageRecord): ImageDeleteResponseItem[] {
  const names = store.records.names.of(image.id).filter((name) => store.records.names.imagesOf(store.records.names.targetOf(name)!).length === 1)
  const untagged = names.map((name) => untagImage(store, image, name))
  store.records.images.remove(image.id, { keepConfig: store.usage(image.id).length > 0 })
  emitImage(store, 'delete', image.id, image.id, image.labels)
  return [...untagged, { Deleted: image.id }]
}

function untagImage(store: Store, image: ImageRecord, name: string): ImageDeleteResponseItem {
  store.records.names.remove(name)
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
  if (store.records.images.hasChildren(id)) return { message: say('cannot be forced', 'image has dependent child images'), isUse: true }
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
