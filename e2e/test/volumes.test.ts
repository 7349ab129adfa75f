import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { busyboxTar, type Daemon, TestHost } from '../src/index.ts'

describe('volumes', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  it('keeps files by name, filled from the image at first', async () => {
    expect(await daemon.ok('run', '--rm', '-v', 'kept:/data', 'busybox', 'sh', '-c', 'cat /data/from-image; echo mine > /data/mine')).toBe('from the image')
    expect(await daemon.ok('run', '--rm', '-v', 'kept:/elsewhere', 'busybox', 'cat', '/elsewhere/mine')).toBe('mine')
    await daemon.ok('run', '--rm', '-v', 'kept:/data', 'busybox', 'rm', '/data/from-image')
    expect(await daemon.ok('run', '--rm', '-v', 'kept:/data', 'busybox', 'ls', '/data')).toBe('mine')
    expect(await daemon.ok('run', '--rm', '-v', 'empty:/data:nocopy', 'busybox', 'ls', '/data')).toBe('')
    expect((await daemon.ok('volume', 'ls', '-q')).split('\n')).toEqual(['empty', 'kept'])
    await daemon.ok('volume', 'rm', 'kept', 'empty')
    expect((await daemon.docker(['volume', 'inspect', 'kept'])).stderr).toMatch(/get kept: no such volume|No such volume: kept/)
  })

  it('shows a directory of the host, read-only when asked', async () => {
    const dir = join(host.dir, 'shared')
    mkdirSync(dir)
    writeFileSync(join(dir, 'file'), 'of the host\n')
    expect(await daemon.ok('run', '--rm', '-v', `${dir}:/data:ro`, 'busybox', 'cat', '/data/file')).toBe('of the host')
    const refused = await daemon.docker(['run', '--rm', '-v', `${dir}:/data:ro`, 'busybox', 'touch', '/data/file'])
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/Read-only file system/) })
    await daemon.ok('run', '--rm', '-v', `${dir}:/data`, 'busybox', 'sh', '-c', 'echo back > /data/back')
    expect(await host.sh(`cat ${dir}/back`)).toBe('back\n')
    expect((await daemon.docker(['run', '--rm', '--mount', `type=bind,src=${dir}/missing,dst=/x`, 'busybox', 'true'])).stderr).toMatch(/bind source path does not exist/)
    expect((await daemon.docker(['run', '--rm', '-v', 'bad/name:/x', 'busybox', 'true'])).stderr).toMatch(/includes invalid characters for a local volume name/)
    expect(await daemon.ok('volume', 'ls', '-q')).toBe('')
  })

  it('is not removed while a container has it, and anonymous ones go with their container', async () => {
    await daemon.ok('create', '--name', 'holder', '-v', 'held:/data', '-v', '/anonymous', 'busybox', 'true')
    expect((await daemon.ok('volume', 'ls', '-q')).split('\n')).toHaveLength(2)
    expect((await daemon.docker(['volume', 'rm', 'held'])).stderr).toMatch(/volume is in use - \[[0-9a-f]{64}\]/)
    await daemon.ok('rm', '-v', 'holder')
    expect(await daemon.ok('volume', 'ls', '-q')).toBe('held')
    await daemon.ok('volume', 'rm', 'held')
  })

  it('cannot be made to copy what is outside the image', async () => {
    // An image whose /data is a link that climbs out:
    const root = join(host.dir, 'evil')
    await host.sh(`mkdir ${root}; tar -C ${root} --exclude ./data -xf ${busyboxTar()}; ln -s ../../../../../../../../etc ${root}/data; tar -C ${root} -cf ${root}.tar .`)
    await daemon.ok('import', `${root}.tar`, 'evil')
    const list = await daemon.ok('run', '--rm', '-v', 'loot:/data', 'evil', '/bin/ls', '/data')
    expect(list).not.toMatch(/shadow/)
    await daemon.ok('rmi', 'evil')
    await daemon.ok('volume', 'rm', 'loot')
  })
})
