import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, TestHost } from '../src/index.ts'

interface Usage {
  LayersSize: number
  Images: { Id: string; RepoTags: string[]; Size: number; SharedSize: number; Containers: number }[]
  Containers: { Id: string; SizeRw?: number; SizeRootFs?: number }[]
  Volumes: { Name: string; UsageData: { Size: number; RefCount: number } }[]
  BuildCache: unknown[]
}

describe('what is kept on disk', () => {
  let host: TestHost
  let daemon: Daemon
  beforeAll(async () => {
    host = await TestHost.start()
    daemon = await host.startDaemon()
  })
  afterAll(() => host[Symbol.asyncDispose]())

  const usage = async (query = ''): Promise<Usage> => JSON.parse(await host.sh(`curl -sf --unix-socket ${daemon.socket} 'http://x/v1.51/system/df${query}'`)) as Usage
  /** An image on top of another. */
  const derive = async (from: string, script: string, name: string, ...flags: string[]): Promise<string> => {
    const id = await daemon.ok('run', '-d', from, 'sh', '-c', script)
    await daemon.ok('wait', id)
    const image = await daemon.ok('commit', ...flags, id, ...(name ? [name] : []))
    await daemon.ok('rm', id)
    return image
  }

  it('counts layers that images share once, and says what an image has for itself', async () => {
    await derive('busybox', 'head -c 1000000 /dev/zero > /a', 'one:1')
    await derive('busybox', 'head -c 2000000 /dev/zero > /b', 'two:1')
    const { LayersSize, Images } = await usage('?type=image')
    const of = (name: string): Usage['Images'][number] => Images.find(({ RepoTags }) => RepoTags.includes(name)) ?? { Id: '', RepoTags: [], Size: -1, SharedSize: -1, Containers: -1 }
    const base = of('busybox:latest')
    expect(base.Size).toBeGreaterThan(500_000)
    expect(of('one:1').Size - base.Size).toBeGreaterThanOrEqual(1_000_000)
    expect(of('one:1').Size - base.Size).toBeLessThan(1_100_000)
    expect([of('one:1').SharedSize, of('two:1').SharedSize, base.SharedSize]).toEqual([base.Size, base.Size, base.Size])
    // The sum of what each has for itself, and what they share, once.
    expect(LayersSize).toBe(Images.reduce((sum, { Size, SharedSize }) => sum + Size - SharedSize, 0) + base.Size)
    expect(await daemon.ok('system', 'df')).toMatch(/^Images +3 +0 /m)
    await daemon.ok('rmi', 'one:1', 'two:1')
    expect((await usage()).LayersSize).toBe(base.Size)
  })

  it('counts containers and volumes, and only what is asked for', async () => {
    const id = await daemon.ok('run', '-d', '-v', 'kept:/v', 'busybox', 'sh', '-c', 'head -c 300000 /dev/zero > /written; head -c 400000 /dev/zero > /v/written; touch /done; sleep 1000')
    await daemon.ok('exec', id, 'sh', '-c', 'while ! [ -e /done ]; do sleep 0.05; done')
    const all = await usage()
    const container = all.Containers.find(({ Id }) => Id === id)
    expect(container?.SizeRw).toBeGreaterThanOrEqual(300_000)
    expect(container?.SizeRw).toBeLessThan(350_000)
    expect(all.Volumes.find(({ Name }) => Name === 'kept')?.UsageData.RefCount).toBe(1)
    expect(all.Volumes.find(({ Name }) => Name === 'kept')?.UsageData.Size).toBeGreaterThanOrEqual(400_000)
    expect(all.Images.find(({ RepoTags }) => RepoTags.includes('busybox:latest'))?.Containers).toBe(1)
    expect(Object.keys(await usage('?type=volume')).toSorted()).toEqual(['LayersSize', 'Volumes'])
    for (const client of ['docker', 'berth'] as const) {
      const lines = await daemon.by(client, ['system', 'df', '--format', '{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Reclaimable}}'])
      expect(lines).toMatch(/^Images\|1\|1\|0B \(0%\)\nContainers\|1\|1\|0B \(0%\)\nLocal Volumes\|1\|1\|0B \(0%\)\nBuild Cache\|0\|0\|0B$/)
    }
    await daemon.ok('rm', '-f', id)
    await daemon.ok('volume', 'rm', 'kept')
  })

  it('removes images by Docker’s rules of names, IDs and use', async () => {
    const id = await derive('busybox', 'echo x > /x', 'named:1')
    await daemon.ok('tag', 'named:1', 'named:2')
    const byId = await daemon.docker(['rmi', id])
    expect([byId.code, byId.stderr]).toEqual([1, expect.stringMatching(/conflict: unable to delete [0-9a-f]{12} \(must be forced\) - image is referenced in multiple repositories|must be forced/)])
    expect(await daemon.ok('rmi', 'named:1')).toBe('Untagged: named:1')
    const container = await daemon.ok('create', 'named:2')
    const used = await daemon.docker(['rmi', 'named:2'])
    expect([used.code, used.stderr]).toEqual([1, expect.stringMatching(/conflict: unable to remove repository reference "named:2" \(must force\) - container [0-9a-f]{12} is using its referenced image [0-9a-f]{12}/)])
    expect(await daemon.ok('rmi', '-f', 'named:2')).toMatch(/^Untagged: named:2/)
    // The container goes on with what it stands on.
    expect(await daemon.ok('start', '-a', container)).toBe('')
    await daemon.ok('rm', container)
    const missing = await daemon.docker(['rmi', 'none:1'])
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('No such image: none:1')])
    const running = await daemon.ok('run', '-d', 'busybox', 'sleep', '1000')
    const forced = await daemon.docker(['rmi', '-f', await daemon.ok('images', '-q', 'busybox')])
    expect([forced.code, forced.stderr]).toEqual([1, expect.stringMatching(/conflict: unable to delete [0-9a-f]{12} \(cannot be forced\) - image is being used by running container [0-9a-f]{12}/)])
    await daemon.ok('rm', '-f', running)
  })

  it('prunes by its filters, and gives the space back', async () => {
    await derive('busybox', 'head -c 1000000 /dev/zero > /x', '', '-c', 'LABEL keep=no')
    await derive('busybox', 'echo y > /y', '', '-c', 'LABEL keep=yes')
    await derive('busybox', 'echo z > /z', 'unused:1')
    const before = (await usage()).LayersSize
    const dangling = (): Promise<string> => daemon.ok('images', '-q', '--filter', 'dangling=true')
    expect((await dangling()).split('\n')).toHaveLength(2)
    expect(await daemon.ok('image', 'prune', '-f', '--filter', 'until=1h')).toBe('Total reclaimed space: 0B')
    expect(await daemon.ok('image', 'prune', '-f', '--filter', 'label!=keep=yes')).toMatch(/Total reclaimed space: 1[\d.]*MB/)
    expect((await dangling()).split('\n')).toHaveLength(1)
    expect(before - (await usage()).LayersSize).toBeGreaterThanOrEqual(1_000_000)
    await daemon.ok('image', 'prune', '-f', '--filter', 'label=keep')
    expect(await dangling()).toBe('')
    const container = await daemon.ok('create', 'busybox')
    expect(await daemon.ok('image', 'prune', '-af')).toMatch(/untagged: unused:1/)
    expect(await daemon.ok('images', '--format', '{{.Repository}}')).toBe('busybox')
    await daemon.ok('rm', container)
    expect((await daemon.docker(['image', 'prune', '-f', '--filter', 'nonsense=1'])).code).toBe(1)
  })
})
