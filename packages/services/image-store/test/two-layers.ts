import { createHash } from 'node:crypto'
import { type MadeImage, publish } from './harness.ts'
import type { MemoryRegistry } from './memory-registry.ts'

/** The same image each time: a small layer, and one that stays large when it is compressed. */
export function publishTwoLayers(registry: MemoryRegistry): MadeImage {
  const noise = Array.from({ length: 20_000 }, (_, index) => createHash('sha512').update(String(index)).digest('base64')).join('')
  return publish(registry, 'two', [{ small: '1' }, { large: noise }])
}
