import { type TarMember, tarOf } from '@berth/layer-tar'
import { expect, test } from 'vitest'
import { withoutEngineFiles } from './layer-filter.ts'

async function filtered(members: TarMember[], chunkSize = Infinity): Promise<Buffer> {
  const tar = tarOf(members)
  async function* source() {
    for (let start = 0; start < tar.length; start += chunkSize) yield tar.subarray(start, start + chunkSize)
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of withoutEngineFiles(source())) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const own: TarMember[] = [
  { name: 'etc/', mtime: 1_000_000_001n },
  { name: 'etc/.wh.group' },
  { name: 'etc/mine', content: 'x'.repeat(1000), mtime: 123_456_789n, xattrs: new Map([['user.a', Buffer.from('b')]]) },
  { name: `long/${'n'.repeat(200)}`, type: 'symlink', linkname: 'l'.repeat(300) },
  { name: 'proc/e', content: 'in a directory of the engine' },
  { name: 'ünïcode' },
]

test('leaves out what a start makes, and nothing else', async () => {
  const engine: TarMember[] = [{ name: 'dev/' }, { name: 'etc/hosts', mtime: 5n }, { name: 'etc/hostname' }, { name: 'etc/resolv.conf' }, { name: 'proc/' }, { name: 'sys/' }]
  const all = [...own.slice(0, 1), ...engine, ...own.slice(1)]
  const expected = tarOf(own)
  for (const chunkSize of [Infinity, 512, 100]) expect((await filtered(all, chunkSize)).equals(expected)).toBe(true)
})

test('what a container wrote into them itself is kept', async () => {
  const members: TarMember[] = [{ name: 'etc/hosts', content: '127.0.0.1 me' }, { name: 'etc/.wh.hostname' }, { name: 'etc/resolv.conf', type: 'symlink', linkname: '/run/resolv.conf' }]
  expect((await filtered(members)).equals(tarOf(members))).toBe(true)
})
