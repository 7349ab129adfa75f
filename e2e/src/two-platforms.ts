import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { tarOf } from '@berth/layer-tar'
import { busyboxTar } from './busybox-image.ts'

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** An OCI layout in a tar whose one image, `name`, is for linux/amd64 (busybox) and linux/arm64 (a file that says so). */
export function twoPlatformsTar(name: string): Buffer {
  const blobs = new Map<string, Uint8Array>()
  const add = (mediaType: string, content: Uint8Array | object): { mediaType: string; digest: string; size: number } => {
    const bytes = content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content))
    const digest = digestOf(bytes)
    blobs.set(`blobs/sha256/${digest.slice(7)}`, bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const type = (kind: string): string => `application/vnd.oci.image.${kind}`
  const manifests = [
    { architecture: 'amd64', layer: readFileSync(busyboxTar()) },
    { architecture: 'arm64', layer: tarOf([{ name: 'made-for', content: 'arm64\n' }]) },
  ].map(({ architecture, layer }) => {
    const config = add(type('config.v1+json'), { architecture, os: 'linux', config: { Cmd: ['sh'] }, rootfs: { type: 'layers', diff_ids: [digestOf(layer)] }, history: [{ created_by: `made for ${architecture}` }] })
    const manifest = { schemaVersion: 2, mediaType: type('manifest.v1+json'), config, layers: [add(type('layer.v1.tar'), layer)] }
    return { ...add(type('manifest.v1+json'), manifest), platform: { os: 'linux', architecture } }
  })
  const index = add(type('index.v1+json'), { schemaVersion: 2, mediaType: type('index.v1+json'), manifests })
  const root = { schemaVersion: 2, manifests: [{ ...index, annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name.split(':').at(-1) } }] }
  return tarOf([
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: JSON.stringify(root) },
    ...[...blobs].map(([path, content]) => ({ name: path, content })),
  ])
}
