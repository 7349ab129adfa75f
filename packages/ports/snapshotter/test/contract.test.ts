import { describeSnapshotter } from '../src/contract.ts'
import { MemorySnapshots, memorySnapshotter } from '../src/memory.ts'

describeSnapshotter('memory', async () => {
  const world = new MemorySnapshots()
  const harness = {
    snapshotter: memorySnapshotter({ world }),
    read: async (key: string) => harness.snapshotter.read(key),
    write: async (key: string, path: string, content: string | undefined) => harness.snapshotter.write(key, path, content),
    restart: async () => void (harness.snapshotter = memorySnapshotter({ world })),
    losePower: async () => {
      world.losePower()
      await harness.restart()
    },
    [Symbol.asyncDispose]: async () => {},
  }
  return harness
})
