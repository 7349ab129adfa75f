import { BerthError } from '@berth/core'
import { digestOf, isIndexType, mediaTypes, parseReference } from '@berth/oci'
import type { ArchiveFiles } from './archive-files.ts'
import { ArchiveSource } from './archive-source.ts'
import { describeLayer, type DockerArchiveImage, dockerArchiveImages } from './docker-archive.ts'
import type { BlobReader, ImageSource, ReadOptions, Root } from './image.ts'
import { layoutRoots } from './layout-roots.ts'
import { mergeRoots } from './names.ts'
import { openImage } from './open-image.ts'
import { openIndex, present } from './open-index.ts'

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
  const rootOf = await rootsByConfig(roots, new ArchiveSource(files, { roots }), options)
  for (const image of docker) {
    const root = rootOf.get(image.config.digest) ?? (await makeRoot(files, image, { made, named }, options))
    rootOf.set(image.config.digest, root)
    if (!roots.includes(root)) roots.push(root)
  }
  // Names of a manifest.json come last, and the last one counts.
  const tagged = docker.map(({ names, config }) => ({ names, root: rootOf.get(config.digest)! }))
  return new ArchiveSource(files, { roots: rename(roots, tagged), made, named })
}

/** The roots of a layout by the configs of the images in them. */
async function rootsByConfig(roots: readonly Root[], reader: BlobReader, options: ReadOptions): Promise<Map<string, Root>> {
  const byConfig = new Map<string, Root>()
  for (const root of roots) {
    const images = isIndexType(root.descriptor.mediaType) ? await present(openIndex(reader, root.descriptor).images(options)) : [openImage(reader, root.descriptor)]
    for (const image of images ?? []) {
      const manifest = await present(image.manifest(options))
      if (manifest && !byConfig.has(manifest.config.digest)) byConfig.set(manifest.config.digest, root)
    }
  }
  return byConfig
}

/** Makes the manifest that a docker-archive lacks. */
async function makeRoot(files: ArchiveFiles, image: DockerArchiveImage, content: { made: Map<string, Uint8Array>; named: Map<string, string> }, options: ReadOptions): Promise<Root> {
  const layers = []
  for (const [index, name] of image.layers.entries()) {
    const layer = await describeLayer(files, name, image.diffIds[index]!, options)
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
  return roots.map((root) => {
    const own = root.names.filter((name) => !taken.has(name) && !(isTagged.has(root) && parseReference(name).digest === undefined))
    return { descriptor: root.descriptor, names: [...own, ...[...taken].filter(([, owner]) => owner === root).map(([name]) => name)] }
  })
}

/** A name that stands twice is the last one's, as when images are loaded one after the other. */
function eachNameOnce(roots: readonly Root[]): Root[] {
  const owners = new Map<string, Root>()
  for (const root of roots) for (const name of root.names) owners.set(name, root)
  return roots.map((root) => ({ ...root, names: root.names.filter((name) => owners.get(name) === root) }))
}
