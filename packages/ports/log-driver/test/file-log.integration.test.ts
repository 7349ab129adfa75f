import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileLog, type FileLogOptions, type RecordFormat } from '../src/files.ts'
import type { LogEntry, ReadLogOptions } from '../src/index.ts'

/** A letter for the stream, the time, and the line. */
const plainFormat: RecordFormat = {
  encodeLines: (stream, time, lines) => Buffer.from(lines.toString('latin1').slice(0, -1).split('\n').map((line) => `${stream} ${time} ${line}$\n`).join(''), 'latin1'),
  encodeEntry: (stream, time, entry) => Buffer.from(`${stream} ${time} ${entry.toString('latin1').replace('\n', '$')}\n`, 'latin1'),
  decode(block, entries) {
    const text = block.toString('latin1')
    const whole = text.lastIndexOf('\n') + 1
    for (const record of text.slice(0, whole).split('\n').slice(0, -1)) {
      const [, stream, time = '', line = ''] = /^(stdout|stderr) (\d+) (.*)$/s.exec(record) ?? []
      if (stream) entries.push({ stream: stream as 'stdout', time: BigInt(time), line: Buffer.from(line.replace('$', '\n'), 'latin1') })
    }
    return whole
  },
  startOfRecord(block, end) {
    const before = end < 2 ? -1 : block.lastIndexOf(0x0a, end - 2)
    return before === -1 ? undefined : before + 1
  },
  wholeSize: (fd) => readFileSync(`/proc/self/fd/${fd}`, 'latin1').lastIndexOf('\n') + 1,
}

const both = { stdout: true, stderr: true }
let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-file-log-'))
  path = join(directory, 'log')
})
afterEach(() => rmSync(directory, { recursive: true }))

const open = (options: Partial<FileLogOptions> = {}) => new FileLog({ path, format: plainFormat, maxSize: undefined, maxFile: 1, compress: false, ...options })

async function entriesOf(log: FileLog, options: ReadLogOptions = both): Promise<LogEntry[]> {
  const entries: LogEntry[] = []
  for await (const entry of log.read(options)) entries.push(entry)
  return entries
}
const lines = async (log: FileLog, options?: ReadLogOptions) => (await entriesOf(log, options)).map(({ line }) => String(line))
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`)

describe('older files', () => {
  const options = { maxSize: 2000, maxFile: 5, compress: true }

  it('are compressed, and read like the others, from any place', async () => {
    const log = open(options)
    for (let n = 0; n < 1000; n++) {
      log.write('stdout', Buffer.from(`line ${n}\n`))
      if (n % 40 === 0) await log.idle()
    }
    await log.idle()
    expect(readdirSync(directory).toSorted()).toEqual(['log', 'log.1.gz', 'log.2.gz', 'log.3.gz', 'log.4.gz'])
    const all = await entriesOf(log)
    const first = Number(String(all[0]!.line).split(' ')[1])
    expect(all.map(({ line }) => String(line))).toEqual(numbered(first, 1000))
    for (let tail = 0; tail <= all.length; tail += 7) expect(await lines(log, { ...both, tail })).toEqual(tail ? numbered(1000 - Math.min(tail, all.length), 1000) : [])
    const middle = all[Math.floor(all.length / 2)]!
    expect((await entriesOf(log, { ...both, since: middle.time }))).toEqual(all.filter(({ time }) => time >= middle.time))
    log.remove()
    expect(readdirSync(directory)).toEqual([])
  })

  it('are followed while they are rotated and compressed, without a gap', async () => {
    const log = open(options)
    const seen: string[] = []
    const followed = (async () => {
      for await (const { line } of log.read({ ...both, follow: true })) seen.push(String(line))
    })()
    for (let n = 0; n < 3000; n++) {
      log.write('stdout', Buffer.from(`line ${n}\n`))
      // It keeps up: never as many files behind as there are.
      while (seen.length < n - 100) await new Promise((resolve) => setImmediate(resolve))
    }
    log.close()
    await followed
    expect(seen).toEqual(numbered(0, 3000))
    await log.idle()
  })

  it('are skipped whole by a follower that is too slow', async () => {
    const log = open({ ...options, compress: false })
    const seen: number[] = []
    for await (const { line } of (log.write('stdout', Buffer.from('line 0\n')), log.read({ ...both, follow: true }))) {
      seen.push(Number(String(line).split(' ')[1]))
      if (seen.length > 1) continue
      for (let n = 1; n < 2000; n++) log.write('stdout', Buffer.from(`line ${n}\n`))
      log.close()
    }
    const gaps = seen.slice(1).filter((n, index) => n !== seen[index]! + 1)
    expect(gaps.length).toBe(1)
    expect(seen.at(-1)).toBe(1999)
  })

  it('survive a crash in the middle of being compressed', async () => {
    const log = open({ ...options, compress: false })
    for (let n = 0; n < 150; n++) log.write('stdout', Buffer.from(`line ${n}\n`))
    log.close()
    const before = await lines(log)
    writeFileSync(`${path}.1.gz`, 'half of a')
    writeFileSync(`${path}.abc.tmp`, 'half')
    const again = open(options)
    expect(await lines(again)).toEqual(before)
    for (let n = 150; n < 250; n++) again.write('stdout', Buffer.from(`line ${n}\n`))
    await again.idle()
    expect(readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([])
    expect(readdirSync(directory).filter((name) => /\.\d$/.test(name))).toEqual([])
    expect(await lines(again)).toEqual(numbered(0, 250))
    again.remove()
  })
})

describe('a full disk', () => {
  beforeEach(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]))
  afterEach(() => execFileSync('umount', ['--lazy', directory]))
  const fill = () => {
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${join(directory, 'fill')}`, 'bs=4k'], { stdio: 'ignore' })
    } catch {
      // It is full.
    }
  }
  const full = expect.objectContaining({ kind: 'unavailable' }) as Error

  it.each([{}, { maxSize: 30_000, maxFile: 3 }])('takes nothing of a chunk that it cannot take whole, and loses none: %o', async (options) => {
    const log = open(options)
    log.write('stdout', Buffer.from('first\nbegin'))
    fill()
    const chunk = Buffer.from(`ning\n${numbered(0, 4000).join('')}rest`)
    for (let attempt = 0; attempt < 3; attempt++) expect(() => log.write('stdout', chunk)).toThrow(full)
    expect(await lines(log)).toEqual(['first\n'])
    // A crash now, and another engine.
    const again = open(options)
    expect(() => again.write('stdout', chunk)).toThrow(full)
    rmSync(join(directory, 'fill'))
    const small = Buffer.from(`ning\n${numbered(0, 800).join('')}rest`)
    again.write('stdout', small)
    again.close()
    expect(await lines(again)).toEqual(['first\n', 'beginning\n', ...numbered(0, 800), 'rest'])
  })

  it('keeps what has no newline yet, or says that it cannot', async () => {
    const log = open()
    log.write('stdout', Buffer.from('one\n'))
    fill()
    let kept = ''
    const refusals: unknown[] = []
    for (let n = 0; n < 20; n++) {
      try {
        log.write('stdout', Buffer.from('x'.repeat(700)))
        kept += 'x'.repeat(700)
      } catch (error) {
        refusals.push(error)
      }
    }
    expect(refusals).toEqual(refusals.map(() => full))
    rmSync(join(directory, 'fill'))
    const again = open()
    again.write('stdout', Buffer.from('\n'))
    again.close()
    expect(await lines(again)).toEqual(['one\n', `${kept}\n`])
  })

  it('does not hold up a removal', () => {
    const log = open()
    log.write('stdout', Buffer.from('unfinished'))
    fill()
    log.remove()
    expect(readdirSync(directory)).toEqual(['fill'])
  })
})

it('reads the tail of a big log without reading all of it, and gives way meanwhile', async () => {
  const log = open()
  log.write('stdout', Buffer.from(numbered(0, 1000).join('')))
  log.close()
  // A hole of a gigabyte in front costs no disk; reading it would take seconds.
  const bytes = readFileSync(path)
  truncateSync(path, 0)
  execFileSync('dd', [`of=${path}`, 'bs=1M', 'seek=1024', 'conv=notrunc'], { input: Buffer.concat([Buffer.from('\n'), bytes]), stdio: ['pipe', 'ignore', 'ignore'] })
  expect(statSync(path).size).toBeGreaterThan(1 << 30)
  const big = new FileLog({ path, format: { ...plainFormat, wholeSize: () => statSync(path).size }, maxSize: undefined, maxFile: 1, compress: false })
  expect(await lines(big, { ...both, tail: 10 })).toEqual(numbered(990, 1000))
  big.close()
})
