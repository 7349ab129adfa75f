import { expect, it } from 'vitest'
import { addHosts, buildHosts, removeHosts } from './hosts-file.ts'

it('writes the file of Docker', () => {
  expect(buildHosts([{ address: '172.17.0.2', names: 'web.example web' }])).toBe(
    '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n172.17.0.2\tweb.example web\n',
  )
})

it('adds lines once and takes only those away', () => {
  const own = '127.0.0.1\tlocalhost\n10.0.0.9 mine'
  const entry = { address: '10.0.0.2', names: 'web' }
  const added = addHosts(own, [entry])
  expect(added).toBe(`${own}\n10.0.0.2\tweb\n`)
  expect(addHosts(added, [entry])).toBe(added)
  expect(removeHosts(added, [entry])).toBe(`${own}\n`)
  expect(removeHosts('10.0.0.20\tweb\n', [entry])).toBe('10.0.0.20\tweb\n')
})
