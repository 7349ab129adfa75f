import type { DistributionInspect, OCIPlatform } from '@berth/api-types'
import { parseManifestOrIndex, type Platform, type Reference } from '@berth/oci'
import { pullBlob } from './pull-blob.ts'
import { pullManifest } from './pull-manifest.ts'
import type { RegistryCall, RegistrySession } from './registry-session.ts'

const maxConfig = 4 << 20

/** What a registry has under a name, without pulling it: `GET /distribution/{name}/json`. */
export async function inspectReference(session: RegistrySession, reference: Reference, call: RegistryCall): Promise<DistributionInspect> {
  const { digest, mediaType, bytes } = await pullManifest(session, reference, call)
  const content = parseManifestOrIndex(bytes, mediaType)
  const platforms: (Platform | undefined)[] =
    content.kind === 'index' ? content.index.manifests.map(({ platform }) => platform) : [await platformOf(session, reference, content.manifest.config, call)]
  return { Descriptor: { mediaType, digest, size: bytes.length }, Platforms: platforms.filter((platform) => platform !== undefined).map(shown) }
}

/** From the image's config; undefined where that tells none, as of what is no image. */
async function platformOf(session: RegistrySession, reference: Reference, config: Parameters<typeof pullBlob>[2], call: RegistryCall): Promise<Platform | undefined> {
  if (config.size > maxConfig) return undefined
  const bytes = Buffer.concat(await Array.fromAsync(pullBlob(session, reference, config, call)))
  try {
    const { os, architecture, variant, ...rest } = JSON.parse(bytes.toString()) as Record<string, unknown>
    if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
    const version = rest['os.version']
    return { os, architecture, ...(typeof variant === 'string' && { variant }), ...(typeof version === 'string' && { 'os.version': version }) }
  } catch {
    return undefined
  }
}

function shown(platform: Platform): OCIPlatform {
  return Object.fromEntries(Object.entries(platform).filter(([, value]) => value !== undefined)) as OCIPlatform
}
