import { describe, expect, it } from 'vitest'
import { parseProcesses, psArguments } from './top.ts'

const refused = expect.objectContaining({ kind: 'invalid-argument' })

it('keeps the rows of the container and the spaces of the last column', () => {
  const output = 'UID          PID    PPID CMD\nroot           1       0 /sbin/init\nroot          42       1 sleep 10 20\n'
  expect(parseProcesses(output, new Set([42]))).toEqual({ Titles: ['UID', 'PID', 'PPID', 'CMD'], Processes: [['root', '42', '1', 'sleep 10 20']] })
  expect(() => parseProcesses('CMD\nsleep\n', new Set([42]))).toThrow("Couldn't find PID field in ps output")
})

it('keeps the threads of its processes with them', () => {
  const output = '  PID TTY          TIME CMD\n    1 ?        00:03:01 init\n    - -        00:03:01 -\n   42 ?        00:00:00 web\n    - -        00:00:00 -\n'
  expect(parseProcesses(output, new Set([42])).Processes).toEqual([['42', '?', '00:00:00', 'web'], ['-', '-', '00:00:00', '-']])
})

it('takes what is no number for no process, as a command may be called anything', () => {
  expect(parseProcesses('PID CMD\n0x2a sleep\n42.0 sleep\n42 sleep\n', new Set([42])).Processes).toEqual([['42', 'sleep']])
})

describe('arguments of ps', () => {
  it.each(['-ef', 'aux', '-o pid,args', '-eo pid=PID', '-o pid=PID,comm', '--sort=-pcpu -eo pid,pcpu'])('may be "%s"', (text) => {
    expect(psArguments(text)).toEqual(text.split(' '))
  })
  it('are -ef without any', () => {
    expect(psArguments('  ')).toEqual(['-ef'])
  })
  it.each(['-o comm=PID', '-ocomm=PID', '-eo pid=X,args=PID', '-eo ppid=PID', '--format=comm=PID', '-Oargs=PID', '-o pid\n-e', `-o ${'pid,'.repeat(2000)}`])('cannot choose the rows: "%.20s"', (text) => {
    expect(() => psArguments(text)).toThrow(refused)
  })
})
