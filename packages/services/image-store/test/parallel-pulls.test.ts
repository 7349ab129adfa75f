import { expect, it } from 'vitest'
import { publish, StoreHarness } from './harness.ts'

it('receives no more than three layers at a time, however many images are pulled', async () => {
  await using harness = await StoreHarness.start()
  const { registry } = harness
  const paths = ['a', 'b', 'c'].map((name) => `library/${name}`)
  const images = paths.map((path) => publish(registry, path, [{ lower: path }, { upper: path }]))
  const layers = new Set(images.flatMap((image) => image.layers.map(({ blob }) => blob)))
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const underWay = new Set<string>()
  let most = 0
  registry.intercept = async function* (digest, content) {
    if (layers.has(digest)) {
      underWay.add(digest)
      most = Math.max(most, underWay.size)
      await held
    }
    yield* content
    underWay.delete(digest)
  }
  const pulls = paths.map((path) => harness.pull(path))
  await expect.poll(() => underWay.size).toBe(3)
  // One that is given up while it waits for its turn does not wait for it.
  const { id } = publish(registry, 'library/late', [{ late: 'x' }])
  const ending = new AbortController()
  const late = harness.pull('library/late', { signal: ending.signal })
  await expect.poll(() => registry.reads.some((read) => read.startsWith(id))).toBe(true)
  ending.abort(new Error('given up'))
  await expect(late).rejects.toThrow('given up')
  release()
  await Promise.all(pulls)
  expect(most).toBe(3)
  expect((await harness.contents()).content).toHaveLength(3 * 4) // two layers, a config and a manifest each
})
