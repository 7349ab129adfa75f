import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tarOf } from '@berth/layer-tar'
import { archiveOf, type Image, imageOf, type ImageSource, layerFromTar, openArchive, openLayout, resolveImage, type Root, validate, writeLayout } from '../src/index.ts'
import { Blobs, bytesOf, partialIndex } from './fixtures.ts'

const here = import.meta.dirname
/** Where the gate and the benchmark unpack programs that are not installed. */
const unpacked = ['.cache/debian', '.cache/bench'].flatMap((dir) => ['usr/bin', 'usr/sbin'].map((bin) => join(here, '../../../..', dir, bin)))
const env = { ...process.env, PATH: [process.env['PATH'], '/usr/sbin', ...unpacked].join(':') }
const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`], { env }).status === 0

const exec = promisify(execFile)
const run = async (program: string, ...args: string[]) => (await exec(program, args, { env, maxBuffer: 64 << 20 })).stdout

/** Two images that share a layer at different heights, under three names, and an index of which a part is here. */
let dir: string
let blobs: Blobs
let roots: Root[]
let images: Image[]
let archive: string

beforeAll(async () => {
  dir = mkdtempSync('/tmp/oci-image-peers-')
  blobs = new Blobs()
  const lower = await layerFromTar(tarOf([{ name: 'etc/' }, { name: 'etc/lower', content: 'lower' }]))
  const upper = await layerFromTar(tarOf([{ name: 'etc/upper', content: 'upper' }]), { compression: 'none' })
  const config = { os: 'linux', architecture: 'amd64', created: '2024-01-01T00:00:00Z', config: { Cmd: ['/bin/sh'] } }
  images = [
    imageOf({ config: { ...config, history: [{ created_by: 'lower' }, { created_by: 'upper' }] }, layers: [lower, upper] }),
    imageOf({ config: { ...config, history: [{ created_by: 'upper' }] }, layers: [upper] }),
  ]
  const index = await partialIndex(blobs)
  images.push(await resolveImage(blobs, index.descriptor, { platform: { os: 'linux', architecture: 'amd64' } }))
  roots = [
    { names: ['docker.io/library/both:one', 'localhost:5000/other/both:1'], descriptor: await blobs.copy(images[0]!) },
    { names: ['docker.io/library/upper:two'], descriptor: await blobs.copy(images[1]!) },
    { names: ['docker.io/library/multi:three'], descriptor: index.descriptor },
  ]
  archive = join(dir, 'ours.tar')
  await pipeline(archiveOf(roots, blobs), createWriteStream(archive))
})

afterAll(() => rmSync(dir, { recursive: true }))

/** Names, IDs and uncompressed layers of the images of a source, each validated. */
async function contents(source: ImageSource) {
  const found = []
  for (const { names, descriptor } of await source.roots()) {
    const image = await resolveImage(source, descriptor)
    expect(await validate(image)).toEqual([])
    found.push({ names: names.toSorted(), id: await image.id(), diffIds: (await image.layers()).map(({ diffId }) => diffId) })
  }
  return found.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

describe.skipIf(!has('skopeo'))('skopeo', () => {
  const inspect = async (name: string) => JSON.parse(await run('skopeo', 'inspect', '--raw', name)) as { config: { digest: string } }

  it('reads what we save, as a docker-archive and as a layout', async () => {
    for (const [index, name] of ['both:one', 'upper:two', 'multi:three', 'localhost:5000/other/both:1'].entries()) {
      expect((await inspect(`docker-archive:${archive}:${name}`)).config.digest).toBe(await images[index % 3]!.id())
      const target = join(dir, `copied-${index}`)
      await run('skopeo', 'copy', '-q', `docker-archive:${archive}:${name}`, `dir:${target}`)
      expect(existsSync(join(target, (await images[index % 3]!.id()).slice(7)))).toBe(true)
    }
    for (const [index, tag] of ['one', 'two', 'three'].entries()) {
      await run('skopeo', 'copy', '-q', `oci-archive:${archive}:${tag}`, `dir:${join(dir, `copied-oci-${index}`)}`)
      expect(JSON.parse(readFileSync(join(dir, `copied-oci-${index}/manifest.json`), 'utf8'))).toEqual(await images[index]!.manifest())
    }
  })

  it('reads layouts that we write', async () => {
    const layout = join(dir, 'layout')
    await writeLayout(layout, roots, blobs)
    expect((await inspect(`oci:${layout}:one`)).config.digest).toBe(await images[0]!.id())
    await run('skopeo', 'copy', '-q', `oci:${layout}:three`, `dir:${join(dir, 'copied-layout')}`)
  })

  it('writes what we read', async () => {
    const expected = [{ id: await images[0]!.id(), diffIds: (await images[0]!.layers()).map(({ diffId }) => diffId), names: ['docker.io/library/copy:1'] }]
    await run('skopeo', 'copy', '-q', `oci-archive:${archive}:one`, `docker-archive:${join(dir, 'docker.tar')}:copy:1`)
    {
      await using source = await openArchive(join(dir, 'docker.tar'))
      expect(await contents(source)).toEqual(expected)
    }
    await run('skopeo', 'copy', '-q', `oci-archive:${archive}:one`, `oci-archive:${join(dir, 'oci.tar')}:copy:1`)
    {
      await using source = await openArchive(join(dir, 'oci.tar'))
      expect(await contents(source)).toEqual(expected)
    }
    await run('skopeo', 'copy', '-q', `oci-archive:${archive}:one`, `oci:${join(dir, 'oci-layout')}:copy:1`)
    await using source = await openLayout(join(dir, 'oci-layout'))
    expect(await contents(source)).toEqual(expected)
  })
})

describe.skipIf(!has('umoci'))('umoci', () => {
  it('unpacks what we save', async () => {
    const layout = join(dir, 'unpacked')
    mkdirSync(layout)
    await run('tar', 'xf', archive, '-C', layout)
    await run('umoci', 'unpack', '--image', `${layout}:one`, join(dir, 'bundle'))
    expect(['lower', 'upper'].map((name) => readFileSync(join(dir, 'bundle/rootfs/etc', name), 'utf8'))).toEqual(['lower', 'upper'])
  })

  it('writes what we read', async () => {
    const layout = join(dir, 'umoci')
    await writeLayout(layout, roots.slice(0, 1), blobs)
    await run('umoci', 'insert', '--image', `${layout}:one`, '--tag', 'more', join(here, 'fixtures.ts'), '/added')
    await using source = await openLayout(layout)
    const all = await contents(source)
    expect(all).toHaveLength(2)
    expect(all.map(({ diffIds }) => diffIds.length).toSorted((a, b) => a - b)).toEqual([2, 3])
  })
})

describe.skipIf(!has('dockerd') || !has('containerd') || !has('docker') || process.getuid?.() !== 0)('dockerd', () => {
  let docker: (...args: string[]) => Promise<string>
  let stop: () => Promise<void>

  beforeAll(async () => {
    const socket = join(dir, 'docker.sock')
    const options = ['--iptables=false', '--bridge=none', `--data-root=${dir}/docker`, `--exec-root=${dir}/docker-exec`, `--pidfile=${dir}/docker.pid`, `--host=unix://${socket}`]
    const daemon = spawn('unshare', ['--net', '--mount', '--propagation', 'private', 'dockerd', ...options], { env, stdio: ['ignore', 'ignore', 'pipe'] })
    let log = ''
    daemon.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4000)))
    const ended = once(daemon, 'exit')
    stop = async () => {
      daemon.kill()
      await ended
    }
    docker = (...args) => run('docker', '--host', `unix://${socket}`, ...args)
    for (let attempt = 0; ; attempt++) {
      try {
        await docker('version')
        break
      } catch (error) {
        if (attempt > 200 || daemon.exitCode !== null) throw new Error(`dockerd did not start: ${log}`, { cause: error })
        await delay(100)
      }
    }
  })

  afterAll(async () => stop())

  it('loads what we save, and we read what it saves', { timeout: 120_000 }, async () => {
    const loaded = await docker('load', '-i', archive)
    const names = ['both:one', 'localhost:5000/other/both:1', 'upper:two', 'multi:three']
    for (const name of names) expect(loaded).toContain(`Loaded image: ${name}\n`)
    for (const [index, name] of ['both:one', 'upper:two', 'multi:three'].entries()) {
      expect((await docker('image', 'inspect', '--format', '{{.Id}}', name)).trim()).toBe(await images[index]!.id())
    }

    const saved = join(dir, 'docker-saved.tar')
    await docker('save', '-o', saved, ...names)
    await using source = await openArchive(saved)
    const expected = await Promise.all(images.map(async (image, index) => ({ id: await image.id(), diffIds: (await image.layers()).map(({ diffId }) => diffId), names: roots[index]!.names.toSorted() })))
    expect(await contents(source)).toEqual(expected.toSorted((a, b) => (a.id < b.id ? -1 : 1)))
    // The layer that two images have at different heights is a symbolic link in one of them.
    expect(await run('tar', 'tvf', saved)).toMatch(/^l.* -> \.\.\/[0-9a-f]{64}\/layer\.tar$/m)

    // And what it saved goes on to it once more, by way of us.
    const again = join(dir, 'again.tar')
    await pipeline(archiveOf(await source.roots(), source), createWriteStream(again))
    await docker('rmi', ...names)
    expect(await docker('load', '-i', again)).toContain('Loaded image: both:one\n')
    expect((await docker('image', 'inspect', '--format', '{{.Id}}', 'both:one')).trim()).toBe(await images[0]!.id())
  })
})

it('what is read of our archive is what went in', async () => {
  await using source = await openArchive(archive)
  expect((await source.roots()).map(({ names, descriptor: { digest } }) => ({ names, digest }))).toEqual(roots.map(({ names, descriptor: { digest } }) => ({ names, digest })))
  for (const [digest, bytes] of blobs.map) expect((await bytesOf(source.blob({ mediaType: 'application/octet-stream', digest, size: bytes.length }))).equals(bytes)).toBe(true)
})
