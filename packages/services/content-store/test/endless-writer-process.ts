import { openContentStore } from '../src/index.ts'

/** Writes an ingest until it is killed. */
const store = await openContentStore({ root: process.argv[2]! })
const ingest = await store.ingest('upload')
const piece = Buffer.alloc(65_536, 'x')
for (;;) await ingest.write(piece)
