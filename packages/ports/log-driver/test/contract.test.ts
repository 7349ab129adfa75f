import { describeLogDriver, loggedContainer } from '../src/contract.ts'
import { memoryLogDriver } from '../src/memory.ts'

describeLogDriver('memory', async () => ({
  driver: memoryLogDriver(),
  container: loggedContainer('/containers/c1'),
  async [Symbol.asyncDispose]() {},
}))
