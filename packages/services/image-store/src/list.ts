import type { ImageSummary } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { familiarReference, familiarRepository, parseReference } from '@berth/oci'
import { familiarNames } from './inspect.ts'
import { globPattern } from './glob-pattern.ts'
import { parseTimestamp } from './parse-timestamp.ts'
import { manifestSummaries } from './manifest-summaries.ts'
import type { ImageRecord } from './records/image-records.ts'
import { defaultImage, findImage, imagesOfTarget } from './resolve.ts'
import type { Store } from './store.ts'

/** Docker's `filters`, parsed: a key and the values wanted. */
export type Filters = ReadonlyMap<string, readonly string[]>

const listFilters = ['before', 'dangling', 'label', 'label!', 'reference', 'since', 'until']

export interface ListOptions {
  /** Also images without a name that others were made of by commits. */
  all?: boolean | undefined
  sharedSize?: boolean | undefined
  manifests?: boolean | undefined
  filters: Filters
}

/** Newest first; of a name that is for several platforms, the host's image first. `Containers` counts; `SharedSize` is -1 unless asked for. Throws `invalid-argument` for a filter that is not known. */
export async function listImages(store: Store, { all = false, sharedSize = false, manifests = false, filters }: ListOptions): Promise<ImageSummary[]> {
  checkFilters(filters, listFilters)
  const select = imageFilter(store, filters)
  const isDangling = booleanFilter(filters, 'dangling')
  const patterns = (filters.get('reference') ?? []).map(globPattern)
  const names = store.records.names.byImage()
  const summaries: ImageSummary[] = []
  for (const image of inOrder(store)) {
    if (!select(image)) continue
    const own = (names.get(image.id) ?? []).filter((name) => patterns.length === 0 || patterns.some((pattern) => matchesName(pattern, name)))
    const { tags, digests } = familiarNames(own)
    if (own.length === 0 && patterns.length > 0) continue
    if (isDangling === true && tags.length > 0) continue
    if (isDangling === false && own.length === 0) continue
    if (!all && own.length === 0 && store.records.images.hasChildren(image.id)) continue
    const target = own[0] === undefined ? undefined : store.records.names.targetOf(own[0])
    summaries.push({
      Id: image.id,
      ParentId: image.parent ?? '',
      RepoTags: tags,
      RepoDigests: digests,
      Created: Math.floor((image.createdMs ?? Date.parse('0001-01-01T00:00:00Z')) / 1000),
      Size: store.records.layers.size(image.id),
      SharedSize: sharedSize ? store.records.layers.sharedSize(image.id) : -1,
      Labels: image.labels,
      Containers: store.usage(image.id).length,
      ...(manifests && { Manifests: await manifestSummaries(store, image, target) }),
    })
  }
  return summaries
}

function inOrder(store: Store): ImageRecord[] {
  const images = store.records.images.list()
  const before = new Map<string, ImageRecord>()
  for (const target of new Set(store.records.names.list().map((name) => name.target))) {
    const all = imagesOfTarget(store, target)
    const first = defaultImage(all)
    for (const image of all) if (first && image.id !== first.id && !before.has(image.id)) before.set(image.id, first)
  }
  const places = new Map(images.map(({ id }, index) => [id, index]))
  const placeOf = ({ id }: ImageRecord) => places.get(before.get(id)?.id ?? id) ?? 0
  return images.toSorted((left, right) => placeOf(left) - placeOf(right) || Number(before.has(left.id)) - Number(before.has(right.id)))
}

/** The conditions on an image itself: label, before, since, until. */
export function imageFilter(store: Store, filters: Filters): (image: ImageRecord) => boolean {
  const created = (ref: string) => findImage(store, ref).image.createdMs ?? 0
  const before = [...(filters.get('before') ?? []).map(created), ...(filters.get('until') ?? []).map((value) => parseTimestamp(value))]
  const since = (filters.get('since') ?? []).map(created)
  const labels = filters.get('label') ?? []
  const unwanted = filters.get('label!') ?? []
  return (image) =>
    before.every((limit) => (image.createdMs ?? 0) < limit) &&
    since.every((limit) => (image.createdMs ?? 0) > limit) &&
    labels.every((label) => hasLabel(image.labels, label)) &&
    !unwanted.some((label) => hasLabel(image.labels, label))
}

/** @throws `invalid-argument` in Docker's words. */
export function checkFilters(filters: Filters, known: readonly string[]): void {
  for (const key of filters.keys()) {
    if (!known.includes(key)) throw new BerthError('invalid-argument', 'INVALID_FILTER', `invalid filter '${key}'`)
  }
}

/** The value of a yes-or-no filter; undefined when it is not given. */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key)
  if (!values || values.length === 0) return undefined
  const isTrue = values.every((value) => value === '1' || value === 'true')
  if (!isTrue && !values.every((value) => value === '0' || value === 'false')) {
    throw new BerthError('invalid-argument', 'INVALID_FILTER', `invalid filter '${key}=[${values.join(' ')}]'`)
  }
  return isTrue
}

function hasLabel(labels: Record<string, string>, wanted: string): boolean {
  const equals = wanted.indexOf('=')
  const key = equals < 0 ? wanted : wanted.slice(0, equals)
  return Object.hasOwn(labels, key) && (equals < 0 || labels[key] === wanted.slice(equals + 1))
}

/** A pattern is for the whole familiar name or for its repository alone. */
function matchesName(matches: (text: string) => boolean, name: string): boolean {
  const reference = parseReference(name)
  return matches(familiarReference(reference)) || matches(familiarRepository(reference))
}
