import { expect, it } from 'vitest'
import { growth, soak, TestHost } from '../src/index.ts'

it('nothing grows with the containers that come and go', async () => {
  await using host = await TestHost.start()
  const daemon = await host.startDaemon()
  expect(growth(await soak(host, daemon, { cycles: 45, count: 3 }))).toEqual([])
}, 240_000)
