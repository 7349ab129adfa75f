import { RegistryClient } from '@berth/registry-client'
import { memorySnapshotter } from '@berth/snapshotter/memory'
import { openImageStore } from '../src/index.ts'

// Pulls an image from a registry that stalls, until somebody kills this process.
const [root = '', image = ''] = process.argv.slice(2)
const store = await openImageStore({ root, snapshotter: memorySnapshotter(), registry: new RegistryClient() })
for await (const _ of store.pull({ image, tag: 'latest', signal: new AbortController().signal }));
