import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { digestOf, mediaTypes, parseIndex } from '@berth/oci'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startRegistry } from '../src/index.ts'
import { startTokenServer } from '../src/testing.ts'
import { RegistryHarness } from './registry-harness.ts'

const run = promisify(execFile)

/** An OCI layout with one image whose layer does not compress. */
async function writeLayout(directory: string): Promise<string> {
  const blobs = join(directory, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const put = async (content: Uint8Array | string, mediaType: string) => {
    const digest = digestOf(content)
    await writeFile(join(blobs, digest.slice(7)), content)
    return { mediaType, digest, size: Buffer.byteLength(content) }
  }
  const tar = Buffer.concat([randomBytes(3_000_000), Buffer.alloc(1024)])
  const layer = await put(gzipSync(tar, { level: 1 }), mediaTypes.ociLayerGzip)
  const config = await put(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [digestOf(tar)] } }), mediaTypes.ociConfig)
  const manifest = await put(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }), mediaTypes.ociManifest)
  await writeFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeFile(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'v1' } }] }))
  return manifest.digest
}

describe.skipIf(!existsSync('/usr/bin/skopeo'))('skopeo (Debian package skopeo)', { timeout: 60_000 }, () => {
  let harness: RegistryHarness
  let directory: string

  beforeEach(async () => {
    harness = await RegistryHarness.start()
    directory = await mkdtemp(join(tmpdir(), 'berth-skopeo-'))
  })
  afterEach(async () => {
    await harness[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  })

  const skopeo = async (...args: string[]) => (await run('/usr/bin/skopeo', args, { env: { HOME: directory, PATH: process.env['PATH'] } })).stdout

  it('copies an image in, to another repository, out again, lists and deletes it', async () => {
    const digest = await writeLayout(join(directory, 'in'))
    const image = `docker://${harness.registry.address}/team/app:v1`
    await skopeo('--insecure-policy', 'copy', '--dest-tls-verify=false', `oci:${join(directory, 'in')}:v1`, image)
    expect(await skopeo('--insecure-policy', 'inspect', '--tls-verify=false', '--format', '{{.Digest}}', image)).toBe(`${digest}\n`)
    expect(JSON.parse(await skopeo('list-tags', '--tls-verify=false', `docker://${harness.registry.address}/team/app`))).toMatchObject({ Tags: ['v1'] })

    const second = `docker://${harness.registry.address}/other/app:v2`
    await skopeo('--insecure-policy', 'copy', '--src-tls-verify=false', '--dest-tls-verify=false', image, second)
    await skopeo('--insecure-policy', 'copy', '--src-tls-verify=false', second, `oci:${join(directory, 'out')}:v2`)
    const { manifests } = parseIndex(await readFile(join(directory, 'out/index.json')))
    expect(manifests.map((manifest) => manifest.digest)).toEqual([digest])

    // To Docker's schema 2, as the Docker daemon writes it.
    await skopeo('--insecure-policy', 'copy', '--format', 'v2s2', '--src-tls-verify=false', '--dest-tls-verify=false', image, `docker://${harness.registry.address}/team/app:docker`)
    expect((await harness.request('GET', '/v2/team/app/manifests/docker')).headers.get('content-type')).toBe(mediaTypes.dockerManifest)

    await skopeo('delete', '--tls-verify=false', image)
    expect(await harness.refusal('GET', '/v2/team/app/manifests/v1')).toBe('404 MANIFEST_UNKNOWN')
    expect((await harness.files()).uploads).toEqual([])
  })

  it('copies an image into a directory and back', async () => {
    const digest = await writeLayout(join(directory, 'in'))
    const image = `docker://${harness.registry.address}/app:v1`
    await skopeo('--insecure-policy', 'copy', '--dest-tls-verify=false', `oci:${join(directory, 'in')}:v1`, image)
    await skopeo('--insecure-policy', 'copy', '--src-tls-verify=false', image, `dir:${join(directory, 'out')}`)
    expect(digestOf(await readFile(join(directory, 'out/manifest.json')))).toBe(digest)
    await skopeo('--insecure-policy', 'copy', '--dest-tls-verify=false', `dir:${join(directory, 'out')}`, `docker://${harness.registry.address}/app:v2`)
    expect((await harness.request('HEAD', '/v2/app/manifests/v2')).headers.get('docker-content-digest')).toBe(digest)
  })

  it.skipIf(!existsSync('/usr/bin/htpasswd'))('logs in over TLS with a password of htpasswd (Debian package apache2-utils)', async () => {
    const digest = await writeLayout(join(directory, 'in'))
    const passwords = join(directory, 'htpasswd')
    await run('/usr/bin/htpasswd', ['-Bbc', passwords, 'me', 'secret'])
    const certs = join(directory, 'certs')
    await mkdir(certs)
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
    await run('/usr/bin/openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', ...subject, '-keyout', join(directory, 'key.pem'), '-out', join(certs, 'ca.crt')])
    const tls = { key: await readFile(join(directory, 'key.pem')), cert: await readFile(join(certs, 'ca.crt')) }
    await using guarded = await startRegistry({ root: join(directory, 'guarded'), htpasswd: passwords, tls })
    const image = `docker://${guarded.address}/app:v1`

    const push = (...options: string[]) => skopeo('--insecure-policy', 'copy', ...options, `oci:${join(directory, 'in')}:v1`, image)
    await expect(push('--dest-cert-dir', certs)).rejects.toThrow(/unauthorized|authentication required/)
    await expect(push('--dest-cert-dir', certs, '--dest-creds', 'me:guess')).rejects.toThrow(/unauthorized|authentication required|invalid username/)
    await expect(push('--dest-creds', 'me:secret')).rejects.toThrow(/certificate/)
    await push('--dest-cert-dir', certs, '--dest-creds', 'me:secret')
    await skopeo('--insecure-policy', 'copy', '--src-cert-dir', certs, '--src-creds', 'me:secret', image, `oci:${join(directory, 'out')}:v1`)
    expect(parseIndex(await readFile(join(directory, 'out/index.json'))).manifests.map((manifest) => manifest.digest)).toEqual([digest])
  })

  it('gets tokens, and others when they expire', async () => {
    const digest = await writeLayout(join(directory, 'in'))
    await using tokens = await startTokenServer({ users: { me: 'secret' }, lifetime: 60 })
    await using guarded = await startRegistry({ root: join(directory, 'guarded'), access: tokens.access })
    const image = `docker://${guarded.address}/app:v1`
    await skopeo('--insecure-policy', 'copy', '--dest-tls-verify=false', '--dest-creds', 'me:secret', `oci:${join(directory, 'in')}:v1`, image)
    tokens.expire()
    expect(await skopeo('--insecure-policy', 'inspect', '--tls-verify=false', '--creds', 'me:secret', '--format', '{{.Digest}}', image)).toBe(`${digest}\n`)
    expect(tokens.requests.every(({ user, status }) => user === 'me' && status === 200)).toBe(true)
  })
})
