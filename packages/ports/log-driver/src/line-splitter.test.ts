import { describe, expect, it } from 'vitest'
import { LineSplitter, maxEntryBytes } from './line-splitter.ts'

const texts = (entries: Buffer[]) => entries.map(String)

describe('LineSplitter', () => {
  it('keeps what has no newline until it has', () => {
    const splitter = new LineSplitter()
    expect(texts(splitter.split(Buffer.from('a\nb')))).toEqual(['a\n'])
    expect(texts(splitter.split(Buffer.from('c')))).toEqual([])
    expect(texts(splitter.split(Buffer.from('d\n\ne')))).toEqual(['bcd\n', '\n'])
    expect(String(splitter.flush())).toBe('e')
    expect(splitter.flush().length).toBe(0)
  })

  it('cuts long lines at the limit, whatever the chunks are', () => {
    const line = 'x'.repeat(maxEntryBytes * 2 + 5)
    const whole = new LineSplitter().split(Buffer.from(`${line}\n`))
    expect(whole.map(({ length }) => length)).toEqual([maxEntryBytes, maxEntryBytes, 6])
    const pieces = new LineSplitter()
    const entries = (line + '\n').match(/.{1,1000}\n?/gs)!.flatMap((piece) => pieces.split(Buffer.from(piece)))
    expect(entries.map(({ length }) => length)).toEqual([maxEntryBytes, maxEntryBytes, 6])
  })

  it('does not cut a character', () => {
    const line = `x${'€'.repeat(maxEntryBytes / 3 + 10)}\n`
    const entries = new LineSplitter().split(Buffer.from(line))
    expect(texts(entries).join('')).toBe(line)
    expect(entries[0]!.length).toBeLessThanOrEqual(maxEntryBytes)
  })

  it('cuts bytes that are no characters at the limit', () => {
    const entries = new LineSplitter().split(Buffer.alloc(maxEntryBytes + 1, 0x80))
    expect(entries.map(({ length }) => length)).toEqual([maxEntryBytes])
  })

  it('takes runs of whole lines at once, and only those', () => {
    const splitter = new LineSplitter()
    expect(String(splitter.takeLines(Buffer.from('a\nb\nc')))).toBe('a\nb\n')
    expect(splitter.takeLines(Buffer.from('d'))).toBeUndefined()
    expect(String(splitter.takeLines(Buffer.from('d\n')))).toBe('cd\n')
    expect(splitter.pending.length).toBe(0)
    expect(splitter.takeLines(Buffer.from(`${'x'.repeat(maxEntryBytes)}\n`))).toBeUndefined()
  })
})
