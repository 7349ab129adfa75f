import { MemorySnapshots, memorySnapshotter } from '@berth/snapshotter/memory'
import { openImageStore } from '../src/index.ts'
import { publishTwoLayers } from './two-layers.ts'
import { MemoryRegistry } from './memory-registry.ts'

/** Pulls into the root given, until half of the second layer is on disk and the first is unpacked; says so, and waits to be killed. */
const registry = new MemoryRegistry()
const { layers } = publishTwoLayers(registry)
registry.intercept = async function* (digest, content) {
  if (digest !== layers[1]!.blob) return yield* content
  let sent = 0
  for await (const chunk of content) {
    if (sent > layers[1]!.bytes.length / 2) await new Promise(() => {})
    yield chunk
    sent += chunk.length
  }
}
const store = await openImageStore({ root: process.argv[2]!, snapshotter: memorySnapshotter({ world: new MemorySnapshots() }), registry })
const timer = setInterval(() => {}, 1000)
for await (const { status } of store.pull({ image: 'registry.test/two', tag: 'latest', signal: new AbortController().signal })) {
  if (status === 'Pull complete') process.send!('half')
}
clearInterval(timer)
