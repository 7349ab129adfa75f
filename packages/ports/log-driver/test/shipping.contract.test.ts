import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeLogDriver, loggedContainer } from '../src/contract.ts'
import { checkOptions } from '../src/index.ts'
import { shippedLogDriver } from '../src/shipping.ts'
import { memoryCache, MemoryPeer } from './memory-peer.ts'

for (const isAway of [false, true]) {
  describeLogDriver(`shipped, the peer ${isAway ? 'away' : 'there'}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'shipping-'))
    const peer = new MemoryPeer()
    peer.isAway = isAway
    const driver = shippedLogDriver({
      name: 'memory',
      cache: memoryCache(),
      open: peer.open,
      validate: (options) => checkOptions('memory', options, []),
    })
    return {
      driver,
      container: loggedContainer(directory),
      async [Symbol.asyncDispose]() {
        await driver[Symbol.asyncDispose]()
        rmSync(directory, { recursive: true })
      },
    }
  })
}
