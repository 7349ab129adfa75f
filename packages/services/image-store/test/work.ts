import { tarOf } from '@berth/layer-tar'
import type { ImageStore } from '../src/index.ts'

export type Work = 'pull' | 'load' | 'import' | 'commit' | 'gc'

const { signal } = new AbortController()

/** Pieces of work on a store that has the image `base`; all but `gc` make the image `made`, and `gc` removes it. */
export const work: Record<Work, (store: ImageStore, archive: () => AsyncIterable<Uint8Array>) => Promise<void>> = {
  async pull(store) {
    for await (const _ of store.pull({ image: 'registry.test/two', tag: 'latest', signal }));
    await store.tag('registry.test/two', { repo: 'made' })
  },
  async load(store, archive) {
    for await (const _ of store.load({ source: archive(), quiet: true, signal }));
  },
  async import(store) {
    for await (const _ of store.import({ source: layer(), repo: 'made', changes: [], signal }));
  },
  async commit(store) {
    const { id } = await store.resolve('base')
    await store.commit({ parent: id, layer: layer(), config: { Cmd: ['made'] }, changes: [], author: '', comment: '', createdBy: '', repo: 'made', signal })
  },
  async gc(store) {
    const { id } = await store.resolve('made')
    await store.remove(id, { force: true })
  },
}

async function* layer() {
  yield tarOf([{ name: 'made', content: 'by hand'.repeat(100_000) }])
}
