import { PassThrough, Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { DetachKeys } from './detach-keys.ts'
import { processInput } from './process-input.ts'

test('clients that leave while the process does not read leave nothing at its input', async () => {
  const process = new Writable({ write() {} })
  for (let count = 0; count < 20; count++) {
    const client = processInput({ target: Promise.resolve(process), keys: undefined, closesTarget: false, onLeave() {} })
    client.write(Buffer.alloc(64 << 10))
    await setImmediate()
    client.destroy()
  }
  expect(['drain', 'close', 'error'].map((event) => process.listenerCount(event))).toEqual([0, 0, 0])
})

test('keys that are not the whole sequence when the input ends are typed', async () => {
  const process = new PassThrough()
  const left = Promise.withResolvers<string>()
  const client = processInput({ target: Promise.resolve(process), keys: new DetachKeys('DEL,ctrl-@,b'), closesTarget: false, onLeave: left.resolve })
  client.write('a\x7f')
  client.end('\0')
  expect(await left.promise).toBe('end')
  expect(String(process.read())).toBe('a\x7f\0')
})
