import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, TestHost } from '../src/index.ts'

const clients = ['docker', 'berth'] as const

describe('images and containers as archives', () => {
  let host: TestHost
  let daemon: Daemon
  let other: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
    // Its bridge has another address range, as both are on one network.
    other = await host.startDaemon({ name: 'other', busybox: false, flags: ['--bip', '172.29.0.1/16'] })
    await daemon.ok('tag', 'busybox', 'app:1')
    await daemon.ok('run', '--name', 'layer', 'busybox', 'sh', '-c', 'echo more > /more')
    await daemon.ok('commit', 'layer', 'app:2')
    await daemon.ok('rm', 'layer')
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const path = (name: string): string => join(host.dir, name)
  const idOf = (on: Daemon, ref: string): Promise<string> => on.ok('image', 'inspect', '-f', '{{.Id}}', ref)
  const forget = async (on: Daemon): Promise<void> => {
    const ids = await on.ok('images', '-aq')
    if (ids) await on.ok('rmi', '-f', ...new Set(ids.split('\n')))
  }

  it.each(clients)('%s saves images with all their names, and another engine loads the same ones', async (client) => {
    const file = path(`saved-by-${client}.tar`)
    await daemon.by(client, ['save', '-o', file, 'busybox', 'app:1', 'app:2'])
    const names = execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).split('\n')
    expect(names).toEqual(expect.arrayContaining(['index.json', 'manifest.json', 'oci-layout']))
    const out = await other.by(client, ['load', '-i', file])
    expect(out.split('\n').filter((line) => line.startsWith('Loaded')).toSorted()).toEqual(['Loaded image: app:1', 'Loaded image: app:2', 'Loaded image: busybox:latest'])
    for (const ref of ['busybox', 'app:1', 'app:2']) expect(await idOf(other, ref)).toBe(await idOf(daemon, ref))
    expect(await other.ok('run', '--rm', 'app:2', 'cat', '/more')).toBe('more')
    await forget(other)
    expect(await other.ok('images', '-aq')).toBe('')
  })

  it.each(clients)('%s pipes one engine into another', async (client) => {
    const berth = `${process.cwd()}/node_modules/.bin/berth`
    const program = client === 'docker' ? 'docker' : berth
    await host.sh(`${program} -H unix://${daemon.socket} save app:2 | gzip | ${program} -H unix://${other.socket} load`)
    expect(await idOf(other, 'app:2')).toBe(await idOf(daemon, 'app:2'))
    await forget(other)
  })

  it('skopeo reads what is saved, both as docker-archive and as an OCI layout, and its archives are loaded', async () => {
    const file = path('for-skopeo.tar')
    await daemon.ok('save', '-o', file, 'app:2')
    const skopeo = (...args: string[]): string => execFileSync('skopeo', ['--insecure-policy', ...args], { encoding: 'utf8' })
    for (const transport of [`docker-archive:${file}:app:2`, `oci-archive:${file}:2`]) {
      expect(JSON.parse(skopeo('inspect', '--config', transport))).toMatchObject({ architecture: 'amd64', rootfs: { diff_ids: [expect.any(String), expect.any(String)] } })
    }
    const id = await idOf(daemon, 'app:2')
    skopeo('copy', `docker-archive:${file}:app:2`, `docker-archive:${path('docker.tar')}:from-skopeo:docker`)
    skopeo('copy', `oci-archive:${file}:2`, `oci-archive:${path('oci.tar')}:oci`)
    expect(await other.ok('load', '-i', path('docker.tar'))).toBe('Loaded image: from-skopeo:docker')
    expect(await idOf(other, 'from-skopeo:docker')).toBe(id)
    expect(await other.ok('load', '-i', path('oci.tar'))).toMatch(/^Loaded image/)
    expect((await other.ok('images', '-aq', '--no-trunc')).split('\n')).toContain(id)
    await forget(other)
  })

  it('skopeo takes images from the engine and gives it some, as docker-daemon', async () => {
    const skopeo = (...args: string[]): Promise<string> => host.sh(`skopeo --insecure-policy ${args.join(' ')}`)
    await skopeo('copy', '--src-daemon-host', `unix://${daemon.socket}`, 'docker-daemon:app:2', `dir:${path('dir')}`)
    await skopeo('copy', '--src-daemon-host', `unix://${daemon.socket}`, '--dest-daemon-host', `unix://${other.socket}`, 'docker-daemon:app:2', 'docker-daemon:moved:3')
    expect(await idOf(other, 'moved:3')).toBe(await idOf(daemon, 'app:2'))
    rmSync(path('dir'), { recursive: true })
    await forget(other)
  })

  it('umoci unpacks what is saved', async () => {
    await daemon.ok('save', '-o', path('for-umoci.tar'), 'app:2')
    execFileSync('skopeo', ['--insecure-policy', 'copy', `oci-archive:${path('for-umoci.tar')}:2`, `oci:${path('layout')}:app`])
    execFileSync('umoci', ['unpack', '--image', `${path('layout')}:app`, path('bundle')])
    expect(readFileSync(path('bundle/rootfs/more'), 'utf8')).toBe('more\n')
    for (const name of ['layout', 'bundle']) rmSync(path(name), { recursive: true })
  })

  it.each(clients)('%s loads nothing of an archive that is broken, and says so', async (client) => {
    const file = path('broken.tar')
    await daemon.ok('save', '-o', file, 'app:2')
    const whole = readFileSync(file)
    const before = await other.ok('images', '-aq')
    writeFileSync(file, whole.subarray(0, whole.length / 2))
    expect((await other[client](['load', '-i', file])).code).toBe(1)
    const changed = Buffer.from(whole)
    changed.fill(0x41, whole.length / 2, whole.length / 2 + 4096)
    writeFileSync(file, changed)
    expect((await other[client](['load', '-i', file])).code).toBe(1)
    writeFileSync(file, 'nonsense')
    const { code, stderr } = await other[client](['load', '-i', file])
    expect([code, stderr]).toEqual([1, expect.not.stringMatching(/^$/)])
    expect(await other.ok('images', '-aq')).toBe(before)
  })

  it.each(clients)('%s refuses to save what is not there', async (client) => {
    const { code, stderr } = await daemon[client](['save', '-o', path('none.tar'), 'none:1'])
    expect([code, stderr]).toEqual([1, expect.stringMatching(/No such image: none:1|reference does not exist/)])
  })

  it('commits a container whose image was removed by force', async () => {
    await daemon.ok('tag', 'busybox', 'kept')
    await daemon.ok('commit', await daemon.ok('create', '--name', 'first', 'kept'), 'below')
    await daemon.ok('run', '--name', 'second', 'below', 'sh', '-c', 'echo made > /made')
    await daemon.ok('rm', 'first')
    const id = await daemon.ok('image', 'inspect', '-f', '{{.Id}}', 'below')
    await daemon.ok('rmi', '-f', 'below')
    expect(await daemon.ok('ps', '-a', '--no-trunc', '--filter', 'name=second', '--format', '{{.Image}}')).toBe(id)
    await daemon.crash()
    await daemon.restart()
    await daemon.ok('commit', 'second', 'above')
    expect(await daemon.ok('run', '--rm', 'above', 'cat', '/made')).toBe('made')
    await daemon.ok('rm', 'second')
    await daemon.ok('rmi', 'above', 'kept')
  })

  it.each(clients)('%s commits a container, with its changes and the config that was asked for', async (client) => {
    const id = await daemon.ok('run', '-d', '-e', 'KEPT=yes', 'busybox', 'sh', '-c', 'echo made > /made; rm /data/from-image; touch /done; sleep 1000')
    await daemon.by(client, ['exec', id, 'sh', '-c', 'while ! [ -e /done ]; do sleep 0.05; done'])
    const image = await daemon.by(client, ['commit', '-a', 'me', '-m', 'why', '-c', 'ENV A=b', '-c', 'CMD ["cat", "/made"]', id, `committed:${client}`])
    expect(await daemon.ok('image', 'inspect', '-f', '{{.Id}} {{.Author}} {{.Comment}} {{json .Config.Env}}', `committed:${client}`)).toMatch(new RegExp(`^${image} me why \\[.*"KEPT=yes".*"A=b"\\]$`))
    expect(await daemon.ok('run', '--rm', `committed:${client}`)).toBe('made')
    expect(await daemon.ok('run', '--rm', `committed:${client}`, 'ls', '/data')).toBe('')
    expect(await daemon.ok('inspect', '-f', '{{.State.Status}}', id)).toBe('running')
    expect(await daemon.ok('history', '--format', '{{.Comment}}', `committed:${client}`)).toMatch(/^why\n/)
    await daemon.ok('rm', '-f', id)
    await daemon.ok('rmi', `committed:${client}`)
  })

  it.each(clients)('%s lists what a container changed', async (client) => {
    const script = 'echo x > /new; mkdir -p /dir/sub; echo y > /dir/sub/file; rm /data/from-image; chmod 600 /etc/passwd; echo z >> /etc/group'
    const id = await daemon.ok('create', 'busybox', 'sh', '-c', script)
    expect(await daemon.by(client, ['diff', id])).toBe('')
    await daemon.ok('start', '-a', id)
    const lines = (await daemon.by(client, ['diff', id])).split('\n')
    expect(lines.toSorted()).toEqual(['A /dir', 'A /dir/sub', 'A /dir/sub/file', 'A /new', 'C /data', 'C /etc', 'C /etc/group', 'C /etc/passwd', 'D /data/from-image'].toSorted())
    await daemon.ok('rm', id)
    expect((await daemon[client](['diff', 'none'])).code).toBe(1)
  })

  it.each(clients)('%s exports a file system, which can be imported', async (client) => {
    const id = await daemon.ok('run', '-d', '-v', '/volume', 'busybox', 'sh', '-c', 'echo in volume > /volume/file; ln -s /etc/passwd /link; echo x > /file; chown 1000:1001 /file; chmod 4711 /file; touch /done; sleep 1000')
    await daemon.ok('exec', id, 'sh', '-c', 'while ! [ -e /done ]; do sleep 0.05; done')
    const file = path(`exported-by-${client}.tar`)
    await daemon.by(client, ['export', '-o', file, id])
    const listed = execFileSync('tar', ['-tvf', file, '--numeric-owner'], { encoding: 'utf8' })
    expect(listed).toMatch(/^-rws--x--x 1000\/1001 +2 .* file$/m)
    expect(listed).toMatch(/^lrwxrwxrwx .* link -> \/etc\/passwd$/m)
    expect(listed).not.toMatch(/volume\/file/)
    await daemon.by(client, ['import', file, `imported:${client}`])
    expect(await daemon.ok('run', '--rm', `imported:${client}`, '/bin/cat', '/file')).toBe('x')
    await daemon.ok('rm', '-f', '-v', id)
    await daemon.ok('rmi', `imported:${client}`)
    expect((await daemon[client](['export', '-o', path('x.tar'), 'none'])).code).toBe(1)
  })

  it('an export leaves nothing behind when its reader goes', async () => {
    const id = await daemon.ok('create', 'busybox')
    await host.sh(`docker -H unix://${daemon.socket} export ${id} | head -c 100000 > /dev/null`)
    expect(await daemon.ok('rm', id)).toBe(id)
  })

  it('a check of the store that nobody uses finds it whole, and finds what is lost', async () => {
    const third = await host.startDaemon({ name: 'third', flags: ['--bip', '172.30.0.1/16'] })
    const fsck = (...flags: string[]): ReturnType<Daemon['berth']> => third.berth(['image', 'fsck', '--data-root', third.dataRoot, ...flags])
    expect(await fsck()).toMatchObject({ code: 1, stderr: expect.stringMatching(/lock|in use/) })
    await third.stop()
    expect(await fsck()).toMatchObject({ code: 0, stdout: expect.stringMatching(/1 images and \d+ blobs .* nothing is wrong\n$/) })
    await host.sh(`f=$(find ${third.dataRoot}/images/content -type f -size +100k | head -1); printf X | dd of=$f bs=1 seek=1000 conv=notrunc 2>/dev/null`)
    expect(await fsck()).toMatchObject({ code: 1, stdout: expect.stringContaining('busybox:latest') })
    await fsck('--repair')
    expect(await fsck()).toMatchObject({ code: 0 })
  })
})
