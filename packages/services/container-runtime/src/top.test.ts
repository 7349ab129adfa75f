import { expect, it } from 'vitest'
import { parseProcesses } from './top.ts'

it('keeps the rows of the container and the spaces of the last column', () => {
  const output = 'UID          PID    PPID CMD\nroot           1       0 /sbin/init\nroot          42       1 sleep 10 20\n'
  expect(parseProcesses(output, new Set([42]))).toEqual({ Titles: ['UID', 'PID', 'PPID', 'CMD'], Processes: [['root', '42', '1', 'sleep 10 20']] })
  expect(() => parseProcesses('CMD\nsleep\n', new Set([42]))).toThrow("Couldn't find PID field in ps output")
})
