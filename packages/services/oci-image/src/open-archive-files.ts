import { BerthError } from '@berth/core'
import { type Descriptor, digestOf, isAttestation, mediaTypes, parseReference } from '@berth/oci'
import type { ArchiveFiles } from './archive-files.ts'
import { ArchiveSource } from './archive-source.ts'
import { type DockerArchiveImage, dockerArchiveImages, LayerFiles } from './docker-archive.ts'
import type { BlobReader, ImageSource, ReadOptions, Root } from './image.ts'
import { layoutRoots } from './layout-roots.ts'
import { mergeRoots } from './names.ts'
import { present } from './open-index.ts'
import { checkDepth, isDocument, readManifestOrIndex } from './read-document.ts'

/**
 * The images in a set of files that are a docker-archive, an OCI layout or, as Docker 25 and later write them, both. Where they are both, an entry of
 * `manifest.json` stands for the OCI image that has its config and gives it its names; the names in `index.json` count where no entry says otherwise. Other entries of a
 * docker-archive get a manifest that is made of their layers as they are. Blobs are verified when they are read. The source owns `files`.
 *
 * @throws `invalid-argument` for what is neither, or is malformed, or names what is not in it; `data-loss` for a config that is not what its name says.
 */
export async function openArchiveFiles(files: ArchiveFiles, options: ReadOptions = {}): Promise<ImageSource> {
  const layout = await layoutRoots(files, options)
  const docker = await dockerArchiveImages(files, options)
  if (layout === undefined && docker === undefined) {
    throw new BerthError('invalid-argument', 'ARCHIVE_UNKNOWN', 'unrecognized image format: there is neither a manifest.json nor an oci-layout with an index.json')
  }
  const roots = eachNameOnce(mergeRoots(layout ?? []))
  if (docker === undefined) return new ArchiveSource(files, { roots })

  const made = new Map<string, Uint8Array>()
  const named = new Map<string, string>()
  const layers = new LayerFiles(files)
  const rootOf = await rootsByConfig(roots, new ArchiveSource(files, { roots }), options)
  const all = new Set(roots)
  for (const image of docker) {
    const root = rootOf.get(image.config.digest) ?? (await makeRoot(layers, image, { made, named }, options))
    rootOf.set(image.config.digest, root)
    all.add(root)
  }
  // Names of a manifest.json come last, and the last one counts.
  const tagged = docker.map(({ names, config }) => ({ names, root: rootOf.get(config.digest)! }))
  return new ArchiveSource(files, { roots: rename([...all], tagged), made, named })
}

/** The roots of a layout by the configs of the images in them. */
async function rootsByConfig(roots: readonly Root[], reader: BlobReader, options: ReadOptions): Promise<Map<string, Root>> {
  const byConfig = new Map<string, Root>()
  // Shared between the roots, so that what many of them name costs no more than what one of them names.
  const seen = new Set<string>()
  const visit = async (descriptor: Descriptor, root: Root, depth: number): Promise<void> => {
    if (seen.has(descriptor.digest) || !isDocument(descriptor) || isAttestation(descriptor)) return
    seen.add(descriptor.digest)
    checkDepth(descriptor, depth)
    const document = await present(readManifestOrIndex(reader, descriptor, options))
    if (document?.kind === 'manifest' && !byConfig.has(document.manifest.config.digest)) byConfig.set(document.manifest.config.digest, root)
    if (document?.kind === 'index') for (const child of document.index.manifests) await visit(child, root, depth + 1)
  }
  for (const root of roots) await visit(root.descriptor, root, 1)
  return byConfig
}

/** Makes the manifest that a docker-archive lacks. */
async function makeRoot(files: LayerFiles, image: DockerArchiveImage, content: { made: Map<string, Uint8Array>; named: Map<string, string> }, options: ReadOptions): Promise<Root> {
  const layers = []
  for (const [index, name] of image.layers.entries()) {
    const layer = await files.describe(name, image.diffIds[index]!, options)
    layers.push(layer)
    content.named.set(layer.digest, name)
  }
  content.named.set(image.config.digest, image.configFile)
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: image.config, layers }))
  const digest = digestOf(bytes)
  content.made.set(digest, bytes)
  return { names: [], descriptor: { mediaType: mediaTypes.ociManifest, digest, size: bytes.length } }
}

/** Names as `manifest.json` has them: it takes them from wherever else they stand, and a root that it names has no other tag. */
function rename(roots: readonly Root[], tagged: readonly { names: readonly string[]; root: Root }[]): Root[] {
  const taken = new Map<string, Root>()
  for (const { names, root } of tagged) for (const name of names) taken.set(name, root)
  const isTagged = new Set(tagged.filter(({ names }) => names.length > 0).map(({ root }) => root))
  const given = Map.groupBy(taken, ([, owner]) => owner)
  return roots.map((root) => {
    const own = root.names.filter((name) => !taken.has(name) && !(isTagged.has(root) && parseReference(name).digest === undefined))
    return { descriptor: root.descriptor, names: [...own, ...(given.get(root) ?? []).map(([name]) => name)] }
  })
}

/** A name that stands twice is the last one's, as when images are loaded one after the other. */
function eachNameOnce(roots: readonly Root[]): Root[] {
  const owners = new Map<string, Root>()
  for (const root of roots) for (const name of root.names) owners.set(name, root)
  return roots.map((root) => ({ ...root, names: root.names.filter((name) => owners.get(name) === root) }))
}
