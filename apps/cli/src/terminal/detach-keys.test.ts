import { describe, expect, it } from 'vitest'
import { DetachKeys } from './detach-keys.ts'

function typed(keys: DetachKeys, ...chunks: number[][]): { bytes: number[]; detached: boolean } {
  const results = chunks.map((chunk) => keys.feed(Uint8Array.from(chunk)))
  return { bytes: results.flatMap(({ bytes }) => [...bytes]), detached: results.some(({ detached }) => detached) }
}

describe('DetachKeys', () => {
  it('finds ctrl-p ctrl-q, also in pieces, and passes neither on', () => {
    expect(typed(new DetachKeys(), [97, 16, 17])).toEqual({ bytes: [97], detached: true })
    expect(typed(new DetachKeys(), [16], [17])).toEqual({ bytes: [], detached: true })
  })
  it('passes on what only began like them', () => {
    expect(typed(new DetachKeys(), [16, 97, 16, 16, 17])).toEqual({ bytes: [16, 97, 16], detached: true })
    expect(typed(new DetachKeys(), [16], [97])).toEqual({ bytes: [16, 97], detached: false })
  })
  it('takes others', () => {
    expect(typed(new DetachKeys('ctrl-a,d'), [1, 100])).toEqual({ bytes: [], detached: true })
    expect(() => new DetachKeys('ctrl-')).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })
})
