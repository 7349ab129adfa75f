import { join } from 'node:path'
import { expect, it } from 'vitest'
import { busyboxTar, TestHost } from '../src/index.ts'

it('says that the disk is full, goes on answering, leaves nothing half made, and works again when there is room', async () => {
  await using host = await TestHost.start()
  const data = join(host.dir, 'small/data')
  await host.sh(`mkdir -p ${data}; mount -t tmpfs -o size=40m tmpfs ${data}`)
  const daemon = await host.startDaemon({ name: 'small' })
  await daemon.ok('run', '-d', '--name', 'goes-on', 'busybox', 'sleep', '300')
  await daemon.ok('run', '-d', '--name', 'stops', 'busybox', 'sleep', '300')
  await daemon.ok('create', '--name', 'never', 'busybox', 'true')
  await host.sh(`dd if=/dev/zero of=${data}/fill bs=64k 2>/dev/null || true`)
  for (const args of [['import', busyboxTar(), 'second'], ['create', '--name', 'more', 'busybox', 'true']]) {
    const { code, stderr } = await daemon.docker(args)
    expect([args[0], code, stderr]).toEqual([args[0], 1, expect.stringMatching(/disk is full|no space left/i)])
  }
  // These need little more than a record, for which there may be room: they are made whole or not at all.
  for (const kind of ['volume', 'network']) {
    const { code, stderr } = await daemon.docker([kind, 'create', 'more'])
    const outcome = code === 0 ? await daemon.ok(kind, 'rm', 'more') : stderr
    expect([kind, outcome]).toEqual([kind, expect.stringMatching(/^more$|disk is full|no space left/i)])
  }
  await host.sh(`dd if=/dev/urandom of=${host.dir}/large bs=1M count=2 2>/dev/null`)
  for (const target of ['goes-on:/tmp', 'stops:/tmp', 'never:/tmp']) {
    const { code, stderr } = await daemon.docker(['cp', join(host.dir, 'large'), target])
    expect([target, code, stderr]).toEqual([target, 1, expect.stringMatching(/no space left/i)])
    await daemon.ok('cp', `${target.split(':')[0]}:/data/from-image`, join(host.dir, 'out'))
  }
  {
    const { code, stderr } = await daemon.docker(['commit', 'goes-on', 'committed'])
    expect([code, stderr]).toEqual([1, expect.stringMatching(/disk is full|no space left/i)])
    expect(await daemon.ok('inspect', '-f', '{{.State.Status}}', 'goes-on')).toBe('running')
  }
  await daemon.ok('stop', '-t', '0', 'stops')
  expect(await daemon.ok('wait', 'stops')).toBe('137')
  expect(await daemon.ok('ps', '-a', '--format', '{{.Names}} {{.State}}')).toBe('never created\nstops exited\ngoes-on running')
  expect(await daemon.ok('volume', 'ls', '-q')).toBe('')
  expect(await daemon.ok('network', 'ls', '-q', '--filter', 'type=custom')).toBe('')
  expect((await daemon.ok('images', '-q')).split('\n')).toHaveLength(1)

  // What is there can be removed, and makes room.
  await daemon.ok('rm', 'stops', 'never')
  await daemon.ok('rename', 'goes-on', 'renamed')
  await daemon.ok('rename', 'renamed', 'goes-on')
  await host.sh(`rm ${data}/fill`)
  await daemon.ok('import', busyboxTar(), 'second')
  expect(await daemon.ok('run', '--rm', 'second', '/bin/busybox', 'echo', 'again')).toBe('again')
  expect(await daemon.ok('exec', 'goes-on', 'echo', 'here')).toBe('here')
  await daemon.crash()
  await daemon.restart()
  expect(await daemon.ok('ps', '-a', '--format', '{{.Names}} {{.State}}')).toBe('goes-on running')
  await daemon[Symbol.asyncDispose]()
  await host.sh(`umount ${data}`)
})
