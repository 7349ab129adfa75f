import { describe, expect, it } from 'vitest'
import { humanAge, humanMemory, humanSize, shortId } from './human.ts'
import { showProgress } from './progress.ts'
import { formatTable } from './table.ts'
import { fillTemplate } from './template.ts'

describe('formatTable', () => {
  it('aligns columns', () => {
    expect(formatTable(['A', 'NAME', 'B'], [['long', 'x', ''], ['1', 'yy', 'z']])).toEqual(['A      NAME   B', 'long   x', '1      yy     z'])
  })
  it('lets no name rewrite the terminal', () => {
    expect(formatTable(['NAME'], [['\x1b[2Jevil\n']])[1]).toBe('�[2Jevil�')
  })
})

describe('fillTemplate', () => {
  const value = { State: { Status: 'running', ExitCode: 3 }, Names: ['a'] }
  it('fills fields, members and JSON', () => {
    expect(fillTemplate('{{.State.Status}}\\t{{ .State.ExitCode }} {{json .Names}} {{.Names}}', value)).toBe('running\t3 ["a"] ["a"]')
  })
  it.each(['{{.Nothing}}', '{{range .Names}}', '{{.State.Status.Deep}}', '{{.toString}}'.replace('toString', 'Nope')])('refuses %s', (template) => {
    expect(() => fillTemplate(template, value)).toThrow(expect.objectContaining({ kind: 'invalid-argument' }))
  })
})

describe('human numbers', () => {
  it('are short', () => {
    expect([humanSize(0), humanSize(1234), humanSize(1_240_000), humanMemory(64 << 20), shortId(`sha256:${'ab'.repeat(32)}`)]).toEqual(['0B', '1.23kB', '1.24MB', '64MiB', 'abababababab'])
    const now = 1e12
    expect([0, 5, 70, 600, 4000, 100_000, 3e6].map((seconds) => humanAge(now - seconds * 1000, now))).toEqual(['Less than a second ago', '5 seconds ago', 'About a minute ago', '10 minutes ago', 'About an hour ago', '28 hours ago', '4 weeks ago'])
  })
})

describe('showProgress', () => {
  async function* messages() {
    yield { status: 'Pulling from app', id: '1' }
    yield { status: 'Downloading', id: 'aaa', progressDetail: { current: 1, total: 2 } }
    yield { status: 'Downloading', id: 'aaa', progressDetail: { current: 2, total: 2 } }
    yield { status: 'Pull complete', id: 'aaa' }
    yield { status: 'Status: done' }
  }
  async function shown(isTTY: boolean): Promise<string> {
    let text = ''
    const output = { isTTY, columns: 80, write: (data: string | Uint8Array) => ((text += String(data)), true), once() {}, on() {}, off() {} }
    await showProgress(messages(), output)
    return text
  }
  it('says each change once where there is no terminal', async () => {
    expect(await shown(false)).toBe('1: Pulling from app\naaa: Pull complete\nStatus: done\n')
  })
  it('draws the line of an ID anew on a terminal', async () => {
    const text = await shown(true)
    expect(text.match(/\n/g)).toHaveLength(3)
    expect(text).toContain('\x1b[1A\r\x1b[2Kaaa: Downloading [==============================] 2B/2B\r\x1b[1B')
  })
})
