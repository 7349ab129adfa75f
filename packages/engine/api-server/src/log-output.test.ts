import { describe, expect, it } from 'vitest'
import type { LogChunk } from './backend.ts'
import { LogOutput } from './log-output.ts'

const entry = (line: string, more: Partial<LogChunk> = {}): LogChunk => ({ stream: 'stdout', time: 1_700_000_000_000_000_000n, line: Buffer.from(line), ...more })
const at = '2023-11-14T22:13:20.000000000Z '

describe('LogOutput', () => {
  it('frames entries by their stream', () => {
    const bytes = new LogOutput({ raw: false, timestamps: false, details: false }).bytes([entry('one\n'), entry('x'.repeat(300), { stream: 'stderr' })])
    expect(bytes.toString('latin1')).toBe(`\u0001\0\0\0\0\0\0\u0004one\n\u0002\0\0\0\0\0\u0001\u002c${'x'.repeat(300)}`)
  })

  it('puts the time in front of lines, not of their parts', () => {
    const output = new LogOutput({ raw: true, timestamps: true, details: false })
    expect(String(output.bytes([entry('a'), entry('e\n', { stream: 'stderr' }), entry('b\n')]))).toBe(`${at}a${at}e\nb\n`)
    expect(String(output.bytes([entry('c\n')]))).toBe(`${at}c\n`)
  })

  it('puts details in front as Docker writes them', () => {
    const output = new LogOutput({ raw: true, timestamps: true, details: true })
    const attributes = { team: 'a & b', app: "x=y,z'(é)*!~", 'b c': '' }
    expect(String(output.bytes([entry('1\n', { attributes }), entry('2\n')]))).toBe(`${at}app=x%3Dy%2Cz%27%28%C3%A9%29%2A%21~,b+c=,team=a+%26+b 1\n${at} 2\n`)
  })
})
