import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { overlaySnapshotter } from '@berth/snapshotter-overlay'
import { openImageStore } from '../src/index.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { publishTwoLayers } from './two-layers.ts'
import { type Work, work } from './work.ts'

// Does one piece of work on the store in the directory given, and ends like a process that is killed at the nth time that the step is done.
const [directory = '', name = '', step = '', times = '1'] = process.argv.slice(2)
let left = Number(times)
const registry = new MemoryRegistry()
publishTwoLayers(registry)
const snapshotter = overlaySnapshotter({ root: join(directory, 'snapshots') })
const failPoint = (done: string) => {
  if (done === step && --left === 0) process.kill(process.pid, 'SIGKILL')
}
const store = await openImageStore({ root: join(directory, 'images'), snapshotter, registry, failPoint })
await work[name as Work](store, () => createReadStream(join(directory, 'archive.tar')))
await store[Symbol.asyncDispose]()
await snapshotter[Symbol.asyncDispose]()
