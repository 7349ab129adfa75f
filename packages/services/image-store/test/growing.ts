import { open } from 'node:fs/promises'
import { sniffCompression } from '@berth/oci'
// TEMPORARY until the memory snapshotter takes layers that grow.
export function growing<T extends { apply: any }>(inner: T): T {
  const flights = new Map<string, Promise<unknown>>()
  const apply = inner.apply.bind(inner)
  inner.apply = (name: string, layer: any, options: any = {}) => {
    const work = (async () => {
      for await (const _ of layer.growth ?? []);
      if (options.parent && flights.has(options.parent)) await flights.get(options.parent)
      const handle = await open(layer.path, 'r')
      const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0)
      await handle.close()
      return apply(name, { ...layer, compression: sniffCompression(buffer) }, options)
    })()
    flights.set(name, work)
    work.catch(() => {}).then(() => flights.get(name) === work && flights.delete(name))
    return work
  }
  return inner
}
