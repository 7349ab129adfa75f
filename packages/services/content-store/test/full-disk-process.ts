import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kindOf } from '@berth/core'
import { openContentStore } from '../src/index.ts'

/** Fills the file system that it is given (16 MiB), makes room, and goes on; writes what it saw. */
const root = process.argv[2]!
const filler = join(root, 'filler')
writeFileSync(filler, Buffer.alloc(10 << 20))
const store = await openContentStore({ root })
const piece = Buffer.alloc(300_000, 'some content')
const fillUp = async (key: string) => {
  const ingest = await store.ingest(key)
  for (let sent = 0; ; sent += piece.length) {
    try {
      if (sent > 100 << 20) throw new Error('the disk does not fill')
      await ingest.write(piece)
    } catch (error) {
      return { ingest, kind: kindOf(error), sent }
    }
  }
}

const { ingest, kind, sent } = await fillUp('large')
const room = ingest.bytes
rmSync(filler)
// The writer may have been told of an earlier piece, and asks where to go on.
const content = Buffer.alloc(12 << 20, piece)
await ingest.write(content.subarray(ingest.bytes))
const { digest, size } = await ingest.commit()
const whole = Buffer.concat(await Array.fromAsync(store.read(digest))).equals(content)

writeFileSync(filler, '')
const rest = await fillUp('rest')
const small = await store.write(Buffer.alloc(500_000, 1)).then(() => 'written', kindOf)
await rest.ingest[Symbol.asyncDispose]()
const kept = (await store.ingests()).map(({ bytes }) => bytes === rest.ingest.bytes)
await store.discard('rest')
const files = readdirSync(join(root, 'ingest'))
await store[Symbol.asyncDispose]()
process.stdout.write(JSON.stringify({ kind, hasTaken: room > 0 && room <= sent, size, whole, restKind: rest.kind, small, kept, files, filler: existsSync(filler) }))
