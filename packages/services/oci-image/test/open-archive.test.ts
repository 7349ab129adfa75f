import { constants, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeEntry, type TarMember, tarOf } from '@berth/layer-tar'
import { mknod } from '@berth/linux'
import { archiveOf, openArchive, openLayout, resolveImage } from '../src/index.ts'
import { Blobs, bytesOf, legacyArchive, sampleImage } from './fixtures.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync('/tmp/oci-image-')
})
afterEach(() => {
  rmSync(dir, { recursive: true })
  if (openFiles().length > 0) throw new Error(`left open: ${openFiles().join(', ')}`)
})

/** Files of these tests that this process has open: each test disposes what it opens, also when that fails. */
function openFiles() {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }).filter((path) => path.startsWith(dir) || path.includes('berth-archive-'))
}

function write(members: TarMember[] | Buffer, compress: (tar: Buffer) => Buffer = (tar) => tar): string {
  const path = join(dir, 'archive.tar')
  writeFileSync(path, compress(Array.isArray(members) ? tarOf(members) : members))
  return path
}

const manifestJson = (value: object): TarMember => ({ name: 'manifest.json', content: JSON.stringify(value) })

describe('an archive on disk', () => {
  it.each([['as it is', (tar: Buffer) => tar], ['by gzip', gzipSync], ['by zstd', zstdCompressSync]] as const)('is read where it lies, packed %s', async (_, compress) => {
    const image = await sampleImage()
    const tar = await bytesOf(archiveOf([{ names: ['docker.io/library/demo:latest'], descriptor: image.descriptor }], image))
    await using source = await openArchive(write(tar, compress), { spoolDir: dir })
    expect(readdirSync(dir)).toEqual(['archive.tar'])
    const [root] = await source.roots()
    expect(root!.names).toEqual(['docker.io/library/demo:latest'])
    const read = await resolveImage(source, root!.descriptor)
    expect(await read.config()).toEqual(await image.config())
    for (const [index, layer] of (await read.layers()).entries()) expect(await bytesOf(layer.compressed())).toEqual(await bytesOf((await image.layers())[index]!.compressed()))
  })

  it('may begin its names with ./, have long ones and links between layers, as docker 1.10 wrote', async () => {
    const archive = legacyArchive()
    const long = `${'d'.repeat(200)}/layer.tar`
    const members: TarMember[] = [
      manifestJson([{ ...archive.manifest[0]!, Layers: ['0/layer.tar', long] }]),
      { name: `./${archive.configName}`, content: archive.config },
      { name: '0/' },
      { name: '0/layer.tar', type: 'symlink', linkname: '../1/layer.tar' },
      { name: './1/layer.tar', content: archive.layers[0]! },
      { name: '2', content: archive.layers[1]! },
      { name: long, type: 'hardlink', linkname: '2' },
    ]
    await using source = await openArchive(write(members))
    const layers = await (await resolveImage(source, (await source.roots())[0]!.descriptor)).layers()
    expect(await Promise.all(layers.map(async (layer) => bytesOf(layer.uncompressed())))).toEqual(archive.layers)
  })

  const { config, configName, manifest, members } = legacyArchive()
  const entry = manifest[0]!
  const named = { name: configName, content: config }
  it.each<[string, TarMember[], string]>([
    ['a config outside of it', [...members, manifestJson([{ ...entry, Config: '../../etc/passwd' }])], '"../../etc/passwd" leads out of it'],
    ['a config with an absolute name', [...members, manifestJson([{ ...entry, Config: '/etc/passwd' }])], '"/etc/passwd" leads out of it'],
    ['a layer outside of it', [...members, named, manifestJson([{ ...entry, Layers: ['layer0/../../x', 'layer1/layer.tar'] }])], '"layer0/../../x" leads out of it'],
    ['an entry that leads out', [...members, named, manifestJson(manifest), { name: '../x' }], '"../x" leads out of it'],
    ['an entry with an absolute name', [...members, named, manifestJson(manifest), { name: '/etc/cron.d/x' }], '"/etc/cron.d/x" leads out of it'],
    ['a config that is a link to an absolute name', [...members, { name: configName, type: 'symlink', linkname: '/etc/passwd' }, manifestJson(manifest)], 'leads out of it'],
    ['a config that is a link that leads out', [...members, { name: configName, type: 'symlink', linkname: '../etc/passwd' }, manifestJson(manifest)], 'leads out of it'],
    ['a manifest.json that is a hard link that leads out', [{ name: 'manifest.json', type: 'hardlink', linkname: '/etc/passwd' }], 'leads out of it'],
    ['links that lead to each other', [{ name: 'manifest.json', type: 'symlink', linkname: 'b' }, { name: 'b', type: 'symlink', linkname: 'manifest.json' }], 'is a link that leads nowhere'],
    ['two files of one name', [...members, named, manifestJson(manifest), manifestJson(manifest)], 'two of its entries are named "manifest.json"'],
    ['two files of one name, differently written', [...members, named, manifestJson(manifest), { ...named, name: `./${configName}` }], 'two of its entries are named'],
    ['a device', [...members, named, manifestJson(manifest), { name: 'sda', type: 'block-device', devmajor: 8 }], '"sda" is a block-device'],
  ])('is refused with %s', async (_, all, message) => {
    await expect(openArchive(write(all))).rejects.toMatchObject({ kind: 'invalid-argument', message: expect.stringContaining(message) as string })
  })

  it('is refused when a link stands where a directory would: nothing is looked up in the file system', async () => {
    writeFileSync(join(dir, configName), config)
    await expect(openArchive(write([...members, { name: 'out', type: 'symlink', linkname: dir }, manifestJson([{ ...entry, Config: `out/${configName}` }])]))).rejects.toMatchObject({
      kind: 'invalid-argument', message: expect.stringContaining('the archive has no file') as string,
    })
  })

  it('is refused with too many entries (10^6 entries)', async () => {
    const block = tarOf([{ name: 'x' }]).subarray(0, 512)
    // The rest of the million is never looked at.
    const bomb = Buffer.concat(Array.from({ length: 100_001 }, () => block))
    for (let index = 0; index < 100_001; index++) encodeName(bomb, index)
    await expect(openArchive(write(bomb))).rejects.toMatchObject({ kind: 'resource-exhausted', message: 'the archive has more than 100000 entries' })
    await expect(openArchive(write(Buffer.from(bomb.subarray(0, 512 * 5))), { maxEntries: 4 })).rejects.toMatchObject({ kind: 'resource-exhausted' })
  })

  it('is refused when it is no tar, or cut short', async () => {
    const whole = tarOf([...members, named, manifestJson(manifest)])
    for (const bytes of [Buffer.from('no tar'), Buffer.alloc(2048, 'x'), whole.subarray(0, 700), whole.subarray(0, 1536 + 100)]) {
      await expect(openArchive(write(bytes))).rejects.toMatchObject({ kind: 'data-loss', code: 'ARCHIVE_BROKEN' })
    }
    const huge = encodeEntry({ name: 'x', type: 'file', size: 2 ** 52, mode: 0o644, uid: 0, gid: 0, mtime: 0n, linkname: '', devmajor: 0, devminor: 0, xattrs: new Map() })
    await expect(openArchive(write(huge))).rejects.toMatchObject({ kind: 'data-loss', message: expect.stringContaining('"x" is cut short') as string })
  })

  it('that is compressed is refused when it is too large (gzip and zstd bombs) or broken', async () => {
    const tar = Buffer.concat([tarOf([{ name: 'x', content: Buffer.alloc(1024) }]), Buffer.alloc(64 << 20)])
    for (const compress of [gzipSync, zstdCompressSync]) {
      await expect(openArchive(write(tar, compress), { spoolDir: dir, maxSpool: 1 << 20 })).rejects.toMatchObject({ kind: 'resource-exhausted' })
      await expect(openArchive(write(compress(tar).subarray(0, 40)), { spoolDir: dir })).rejects.toMatchObject({ kind: 'data-loss' })
    }
    expect(readdirSync(dir)).toEqual(['archive.tar'])
  })

  it('is refused when its names fill the memory', async () => {
    const long = Array.from({ length: 10 }, (_, index) => ({ name: `${'d'.repeat(1000)}${index}` }))
    await expect(openArchive(write(long), { maxEntries: 20 })).rejects.toMatchObject({ kind: 'resource-exhausted', message: expect.stringContaining('the names in the archive') as string })
    await expect(openArchive(write([{ name: 'd'.repeat(5000) }]))).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('is not found when it is not there, and refused when it is no file', async () => {
    await expect(openArchive(join(dir, 'x'))).rejects.toMatchObject({ kind: 'not-found' })
    mknod(join(dir, 'fifo'), constants.S_IFIFO | 0o600)
    for (const path of [dir, join(dir, 'fifo')]) await expect(openArchive(path)).rejects.toMatchObject({ kind: 'invalid-argument', code: 'NOT_A_FILE' })
  })

  it('stops being opened when that is cancelled', async () => {
    await expect(openArchive(write([...members, named, manifestJson(manifest)]), { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  })
})

/** A name of its own for each header of a bomb. */
function encodeName(bomb: Buffer, index: number): void {
  const header = bomb.subarray(index * 512, index * 512 + 512)
  const sum = (bytes: Buffer) => bytes.reduce((total, byte) => total + byte, 0)
  const before = sum(header.subarray(0, 10))
  header.write(String(index).padStart(10, '0'), 0)
  const checksum = Number.parseInt(header.toString('latin1', 148, 154), 8) - before + sum(header.subarray(0, 10))
  header.write(checksum.toString(8).padStart(6, '0'), 148)
}

describe('a layout on disk', () => {
  async function layout() {
    const blobs = new Blobs()
    const image = await sampleImage()
    const descriptor = await blobs.copy(image)
    const path = join(dir, 'layout')
    mkdirSync(join(path, 'blobs/sha256'), { recursive: true })
    for (const [digest, bytes] of blobs.map) writeFileSync(join(path, 'blobs', digest.replace(':', '/')), bytes)
    writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    writeFileSync(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }))
    return { path, image, blob: join(path, 'blobs', (await image.manifest()).config.digest.replace(':', '/')) }
  }

  it('is read', async () => {
    const { path, image } = await layout()
    await using source = await openLayout(path)
    const read = await resolveImage(source, (await source.roots())[0]!.descriptor)
    expect(await read.config()).toEqual(await image.config())
    expect(await bytesOf((await read.layers())[0]!.uncompressed())).toEqual(await bytesOf((await image.layers())[0]!.uncompressed()))
    expect(await source.has({ ...image.descriptor, digest: `sha256:${'0'.repeat(64)}` })).toBe(false)
  })

  it('does not lead out of its directory, whatever its links say', async () => {
    const { path, image, blob } = await layout()
    const outside = join(dir, 'secret')
    writeFileSync(outside, await bytesOf(image.blob((await image.manifest()).config)))
    for (const target of [outside, '../../../secret', '/proc/self/root/etc/passwd']) {
      rmSync(blob)
      symlinkSync(target, blob)
      await using source = await openLayout(path)
      await expect((await resolveImage(source, image.descriptor)).config()).rejects.toMatchObject({ kind: 'not-found' })
    }
  })

  it('of an unpacked docker-archive is read, too, and leaves no file open', async () => {
    const { config, configName, manifest, layers } = legacyArchive()
    writeFileSync(join(dir, configName), config)
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest))
    for (const [index, layer] of layers.entries()) {
      mkdirSync(join(dir, `layer${index}`))
      writeFileSync(join(dir, `layer${index}/layer.tar`), Buffer.concat([layer, Buffer.alloc(1 << 20)]))
    }
    await using source = await openLayout(dir)
    expect((await source.roots())[0]!.names).toEqual(['docker.io/library/demo:latest'])
    expect(openFiles()).toEqual([dir])
  })

  it('does not lead out by a linked directory or document', async () => {
    const { path, image } = await layout()
    rmSync(join(path, 'blobs/sha256'), { recursive: true })
    mkdirSync(join(dir, 'elsewhere'))
    for (const { digest } of [image.descriptor]) writeFileSync(join(dir, 'elsewhere', digest.slice(7)), await bytesOf(image.blob(image.descriptor)))
    symlinkSync(join(dir, 'elsewhere'), join(path, 'blobs/sha256'))
    {
      await using source = await openLayout(path)
      expect(await source.has(image.descriptor)).toBe(false)
    }
    rmSync(join(path, 'index.json'))
    symlinkSync('/etc/passwd', join(path, 'index.json'))
    await expect(openLayout(path)).rejects.toMatchObject({ kind: 'invalid-argument' })
  })

  it('is not read once it was closed', async () => {
    const { path, image } = await layout()
    const source = await openLayout(path)
    await source[Symbol.asyncDispose]()
    await source[Symbol.asyncDispose]()
    await expect(source.has(image.descriptor)).rejects.toMatchObject({ code: 'SOURCE_CLOSED' })
  })

  it('may share blobs by links within it', async () => {
    const { path, image, blob } = await layout()
    writeFileSync(join(path, 'shared'), await bytesOf(image.blob((await image.manifest()).config)))
    rmSync(blob)
    symlinkSync('../../shared', blob)
    await using source = await openLayout(path)
    expect(await (await resolveImage(source, image.descriptor)).config()).toEqual(await image.config())
  })

  it('is not found when it is no directory', async () => {
    for (const path of [join(dir, 'x'), '/etc/passwd']) await expect(openLayout(path)).rejects.toMatchObject({ kind: 'not-found' })
    await expect(openLayout(dir)).rejects.toMatchObject({ kind: 'invalid-argument', code: 'ARCHIVE_UNKNOWN' })
  })
})
