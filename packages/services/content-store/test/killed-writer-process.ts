import { writeSync } from 'node:fs'
import { openContentStore } from '../src/index.ts'
import { large, small } from './contents.ts'

/** Does what a store can do, tells what was acknowledged, and ends with SIGKILL at the n-th time that it comes to a step. */
const [, , root = '', step = '', count = '1'] = process.argv
let left = Number(count)
const store = await openContentStore({
  root,
  failPoint: (reached) => {
    if (reached === step && --left === 0) process.kill(process.pid, 'SIGKILL')
  },
})
const tell = (what: string, digest: string) => writeSync(1, `${what} ${digest}\n`)

tell('kept', await store.write(small))
for (const [key, content] of [
  ['small', Buffer.concat([small, small])],
  ['large', large],
] as const) {
  const ingest = await store.ingest(key)
  await ingest.write(content)
  tell('kept', (await ingest.commit()).digest)
}
const fetched = Buffer.concat([large, small])
const { digest } = await store.write(fetched).then(async (written) => (await store.remove(written), { digest: written }))
tell('removed', digest)
{
  await using arrival = await store.fetch(
    { digest, size: fetched.length },
    async function* (offset) {
      yield fetched.subarray(offset)
    },
    { signal: new AbortController().signal },
  )
  await arrival.done
  tell('kept', digest)
}
tell('removing', digest)
await store.remove(digest, { keep: true })
tell('removed', digest)
tell('end', '')
