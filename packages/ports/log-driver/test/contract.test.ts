import { describeLogDriver } from '../src/contract.ts'
import { memoryLogDriver } from '../src/memory.ts'

describeLogDriver('memory', async () => ({
  driver: memoryLogDriver(),
  container: { id: 'c1', name: 'one', directory: '/containers/c1' },
  async [Symbol.asyncDispose]() {},
}))
