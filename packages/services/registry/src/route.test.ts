import { digestOf } from '@berth/oci'
import { expect, it } from 'vitest'
import { parseRoute } from './route.ts'

const digest = digestOf('x')

it.each([
  ['/v2/', { to: 'base' }],
  ['/v2/_catalog', { to: 'catalog' }],
  ['/v2/a/b/tags/list', { to: 'tags', repository: 'a/b' }],
  ['/v2/tags/list/manifests/latest', { to: 'manifest', repository: 'tags/list', reference: { tag: 'latest' } }],
  [`/v2/a/manifests/${digest}`, { to: 'manifest', repository: 'a', reference: { digest } }],
  [`/v2/a/manifests/${encodeURIComponent(digest)}`, { to: 'manifest', repository: 'a', reference: { digest } }],
  [`/v2/a/blobs/${digest}`, { to: 'blob', repository: 'a', digest }],
  ['/v2/a/blobs/uploads/', { to: 'uploads', repository: 'a' }],
  ['/v2/a/blobs/uploads', { to: 'uploads', repository: 'a' }],
  ['/v2/a/blobs/uploads/some-id', { to: 'upload', repository: 'a', id: 'some-id' }],
  [`/v2/a/referrers/${digest}`, { to: 'referrers', repository: 'a', digest }],
])('%s', (path, route) => {
  expect(parseRoute(path)).toEqual(route)
})

it.each([
  ['/', 'UNSUPPORTED'],
  ['/v1/a/tags/list', 'UNSUPPORTED'],
  ['/v2/a', 'UNSUPPORTED'],
  ['/v2/%zz/tags/list', 'UNSUPPORTED'],
  ['/v2/../tags/list', 'NAME_INVALID'],
  ['/v2/a/../../etc/tags/list', 'NAME_INVALID'],
  ['/v2/a%2f..%2fb/tags/list', 'NAME_INVALID'],
  ['/v2/a%00/tags/list', 'NAME_INVALID'],
  ['/v2/UPPER/tags/list', 'NAME_INVALID'],
  ['/v2//tags/list', 'NAME_INVALID'],
  [`/v2/${'a'.repeat(300)}/tags/list`, 'NAME_INVALID'],
  [`/v2/a:b/tags/list`, 'NAME_INVALID'],
  ['/v2/a/manifests/..', 'TAG_INVALID'],
  ['/v2/a/manifests/sha256:..%2f..%2fx', 'UNSUPPORTED'],
  ['/v2/a/blobs/sha256:12', 'DIGEST_INVALID'],
  ['/v2/a/blobs/..', 'DIGEST_INVALID'],
])('%s is refused with %s', (path, code) => {
  expect(() => parseRoute(path)).toThrow(expect.objectContaining({ code }))
})
