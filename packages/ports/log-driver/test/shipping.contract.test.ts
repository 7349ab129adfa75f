import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BerthError } from '@berth/core'
import { describeLogDriver, loggedContainer } from '../src/contract.ts'
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
      validate(options) {
        for (const name of Object.keys(options)) throw new BerthError('invalid-argument', 'LOG_OPTION_UNKNOWN', `unknown log opt '${name}' for memory log driver`)
      },
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
