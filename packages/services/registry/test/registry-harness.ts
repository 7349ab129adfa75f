import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Descriptor, digestOf, mediaTypes } from '@berth/oci'
import { type RunningRegistry, startRegistry, type StartRegistryOptions } from '../src/index.ts'

/** A registry in a directory of its own, and raw requests to it. */
export class RegistryHarness implements AsyncDisposable {
  readonly root: string
  registry!: RunningRegistry
  readonly #options: Partial<StartRegistryOptions>

  private constructor(root: string, options: Partial<StartRegistryOptions>) {
    this.root = root
    this.#options = options
  }

  static async start(options: Partial<StartRegistryOptions> = {}): Promise<RegistryHarness> {
    const harness = new RegistryHarness(await mkdtemp(join(tmpdir(), 'berth-registry-')), options)
    await harness.open()
    return harness
  }

  async open(): Promise<void> {
    this.registry = await startRegistry({ root: this.root, ...this.#options })
  }

  async restart(): Promise<void> {
    await this.registry[Symbol.asyncDispose]()
    await this.open()
  }

  request(method: string, path: string, { body, headers }: { body?: Uint8Array | string; headers?: Record<string, string> } = {}): Promise<Response> {
    return fetch(`http://${this.registry.address}${path}`, { method, headers, body: body as string | undefined, redirect: 'manual' })
  }

  /** The status and the code of a refusal. */
  async refusal(method: string, path: string, options?: { body?: Uint8Array | string; headers?: Record<string, string> }): Promise<string> {
    const response = await this.request(method, path, options)
    const { errors } = (await response.json()) as { errors: { code: string; message: string }[] }
    return `${response.status} ${errors[0]!.code}`
  }

  async begin(repository: string): Promise<string> {
    const response = await this.request('POST', `/v2/${repository}/blobs/uploads/`)
    return response.headers.get('location')!
  }

  async putBlob(repository: string, content: Uint8Array | string): Promise<Descriptor> {
    const digest = digestOf(content)
    const response = await this.request('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body: content })
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`)
    return { mediaType: mediaTypes.ociLayer, digest, size: Buffer.byteLength(content) }
  }

  /** An image of one layer; answers its manifest's descriptor. */
  async putImage(repository: string, tag: string, content: string, extra: object = {}): Promise<Descriptor> {
    const config = { ...(await this.putBlob(repository, '{}')), mediaType: mediaTypes.ociConfig }
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [await this.putBlob(repository, content)], ...extra })
    const response = await this.request('PUT', `/v2/${repository}/manifests/${tag}`, { body: manifest, headers: { 'Content-Type': mediaTypes.ociManifest } })
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`)
    return { mediaType: mediaTypes.ociManifest, digest: digestOf(manifest), size: manifest.length }
  }

  /** Names of files: blobs and uploads. */
  async files(): Promise<{ blobs: string[]; uploads: string[] }> {
    return { blobs: (await readdir(join(this.root, 'content/sha256'))).toSorted(), uploads: await readdir(join(this.root, 'ingest')) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]()
    await rm(this.root, { recursive: true })
  }
}
