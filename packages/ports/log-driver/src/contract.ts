import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { batchesOf, type Log, type LogDriver, type LogEntry, type LoggedContainer, maxEntryBytes, type ReadLogOptions } from './index.ts'

export interface LogDriverHarness extends AsyncDisposable {
  driver: LogDriver
  container: LoggedContainer
  /** Options that `open` is called with; default none. */
  options?: Readonly<Record<string, string>>
}

/** A container to log for, whose labels and environment the suite knows. */
export function loggedContainer(directory: string): LoggedContainer {
  return {
    id: 'c1c1c1c1c1c1c1c1',
    name: 'one',
    imageId: 'sha256:0123456789abcdef',
    imageName: 'busybox:latest',
    command: ['sh', '-c', 'true'],
    createdAt: new Date(0),
    labels: { team: 'a & b', tier: '<x=y>' },
    env: ['APP=one=two', 'PATH=/bin'],
    directory,
  }
}

const both = { stdout: true, stderr: true }

/** Runs the log driver suite on what `setUp` makes afresh for each test. For drivers that can read. */
export function describeLogDriver(name: string, setUp: () => Promise<LogDriverHarness>): void {
  describe(`log driver contract: ${name}`, () => {
    let harness: LogDriverHarness
    let log: Log

    beforeEach(async () => {
      harness = await setUp()
      log = open()
    })
    afterEach(async () => {
      log.close()
      await harness[Symbol.asyncDispose]()
    })

    const open = () => harness.driver.open(harness.container, harness.options ?? {})

    it('gives back what was written, in order, with stream and time', async () => {
      const before = BigInt(Date.now() - 1000) * 1_000_000n
      log.write('stdout', Buffer.from('one\ntwo\n'))
      log.write('stderr', Buffer.from('three\n'))
      log.write('stdout', Buffer.from('fo'))
      log.write('stdout', Buffer.from('ur\nfive\n'))
      const entries = await read(log)
      expect(entries.map(({ stream, line }) => `${stream} ${text(line)}`)).toEqual(['stdout one\n', 'stdout two\n', 'stderr three\n', 'stdout four\n', 'stdout five\n'])
      for (const { time } of entries) expect(time > before && time < before + 60_000_000_000n).toBe(true)
      expect(entries.map(({ time }) => time)).toEqual(entries.map(({ time }) => time).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)))
    })

    it('keeps unfinished lines of both streams apart, and writes them at the end', async () => {
      log.write('stdout', Buffer.from('out'))
      log.write('stderr', Buffer.from('err'))
      expect(await lines(log)).toEqual([])
      log.write('stdout', Buffer.from('put\n'))
      expect(await lines(log)).toEqual(['output\n'])
      log.close()
      expect(await lines(log)).toEqual(['output\n', 'err'])
    })

    it('cuts long lines', async () => {
      const long = 'x'.repeat(maxEntryBytes + 10)
      log.write('stdout', Buffer.from(`${long}\nshort\n`))
      expect((await lines(log)).map(({ length }) => length)).toEqual([maxEntryBytes, 11, 6])
    })

    it('keeps text of every kind', async () => {
      const odd = ['"quoted" \\back\\slash \\n', '\ttab\r', 'naïve 漢字 😀', '<a href="x">&</a>', '\u0000\u0007\u001b[31mred\u001b[0m', '']
      log.write('stdout', Buffer.from(odd.map((line) => `${line}\n`).join('')))
      expect(await lines(log)).toEqual(odd.map((line) => `${line}\n`))
    })

    it('filters by stream, time and number', async () => {
      for (let n = 0; n < 10; n++) {
        log.write(n % 2 ? 'stderr' : 'stdout', Buffer.from(`${n}\n`))
        await tick()
      }
      const entries = await read(log)
      expect(await lines(log, { stdout: true, stderr: false })).toEqual(['0\n', '2\n', '4\n', '6\n', '8\n'])
      expect(await lines(log, { ...both, tail: 3 })).toEqual(['7\n', '8\n', '9\n'])
      expect(await lines(log, { stdout: true, stderr: false, tail: 3 })).toEqual(['8\n'])
      expect(await lines(log, { ...both, tail: 0 })).toEqual([])
      expect(await lines(log, { ...both, tail: 100 })).toHaveLength(10)
      expect(await lines(log, { ...both, since: entries[6]!.time, until: entries[8]!.time })).toEqual(['6\n', '7\n', '8\n'])
    })

    it('follows until it is closed', async () => {
      log.write('stdout', Buffer.from('early\n'))
      const seen: string[] = []
      const followed = (async () => {
        for await (const entry of log.read({ ...both, follow: true })) seen.push(text(entry.line))
      })()
      await until(() => seen.length === 1)
      log.write('stderr', Buffer.from('late\nlater\nunfin'))
      await until(() => seen.length === 3)
      log.write('stderr', Buffer.from('ished'))
      log.close()
      await followed
      expect(seen).toEqual(['early\n', 'late\n', 'later\n', 'unfinished'])
    })

    it('follows from now on with a tail of none, for several readers', async () => {
      log.write('stdout', Buffer.from('old\n'))
      const readers = [1, 2].map(() => lines(log, { ...both, follow: true, tail: 0 }))
      await tick()
      log.write('stdout', Buffer.from('new\n'))
      log.close()
      expect(await Promise.all(readers)).toEqual([['new\n'], ['new\n']])
    })

    it('stops following when its reader goes', async () => {
      const gone = new AbortController()
      const followed = lines(log, { ...both, follow: true, signal: gone.signal })
      await tick()
      gone.abort()
      expect(await followed).toEqual([])
      for await (const entry of (log.write('stdout', Buffer.from('x\n')), log.read({ ...both, follow: true }))) {
        expect(text(entry.line)).toBe('x\n')
        break
      }
    })

    it('goes on after it was closed and opened again', async () => {
      log.write('stdout', Buffer.from('before\n'))
      log.close()
      expect(() => log.write('stdout', Buffer.from('x\n'))).toThrow(expect.objectContaining({ kind: 'conflict' }))
      expect(await lines(log, { ...both, follow: true })).toEqual(['before\n'])
      log = open()
      log.write('stdout', Buffer.from('after\n'))
      expect(await lines(log)).toEqual(['before\n', 'after\n'])
    })

    it('loses nothing when it is opened again without having been closed, as after kill -9', async () => {
      log.write('stdout', Buffer.from('whole\nhal'))
      log.write('stderr', Buffer.from('warn\nqu'))
      log.write('stdout', Buffer.from('f a '))
      log = open()
      log.write('stdout', Buffer.from('line\n'))
      log.write('stderr', Buffer.from('ick\n'))
      expect(await lines(log)).toEqual(['whole\n', 'warn\n', 'half a line\n', 'quick\n'])
      log = open()
      log.close()
      expect(await lines(log)).toEqual(['whole\n', 'warn\n', 'half a line\n', 'quick\n'])
    })

    it('counts a line that was cut as one in a tail, and gives it whole', async () => {
      const long = `${'x'.repeat(maxEntryBytes * 2 + 10)}\n`
      log.write('stdout', Buffer.from(`before\n${long}after\n`))
      expect((await lines(log, { ...both, tail: 2 })).join('')).toBe(`${long}after\n`)
      expect(await lines(log, { ...both, tail: 1 })).toEqual(['after\n'])
    })

    it('gives back exactly what was written, however it came (property)', async () => {
      for (let seed = 1; seed <= 8; seed++) {
        const random = numbersFrom(seed)
        const written = { stdout: '', stderr: '' }
        for (let chunk = 0; chunk < 40; chunk++) {
          const stream = random(3) === 0 ? 'stderr' : 'stdout'
          const text = randomText(random, random(5) === 0 ? 40_000 : 200)
          written[stream] += text
          const bytes = Buffer.from(text)
          // Chunks end in the middle of lines and of characters.
          for (let start = 0; start < bytes.length; ) {
            const end = Math.min(bytes.length, start + 1 + random(30_000))
            log.write(stream, bytes.subarray(start, end))
            start = end
          }
        }
        log.close()
        const read = { stdout: '', stderr: '' }
        for await (const { stream, line } of log.read(both)) {
          expect(line.length).toBeLessThanOrEqual(maxEntryBytes)
          read[stream] += text(line)
        }
        expect(read).toEqual(written)
        log.remove()
        log = open()
      }
    })

    it('lets no content forge a record, a stream, a time or an attribute (log-line forging)', async () => {
      const forged = [
        '{"log":"forged\\n","stream":"stderr","time":"2000-01-01T00:00:00Z"}',
        'x","stream":"stderr","time":"2000-01-01T00:00:00.000000000Z"}',
        '\\n","stream":"stderr","attrs":{"forged":"1"},"time":"2000-01-01T00:00:00Z"}\r{"log":"',
        '\u2028{"log":"forged"}\u2029\u0085',
        '\r{"log":"forged"}\u0000\u001b[2K\u0008\u007f',
        '\u0000\u0000\u0000\u0016\u000bstderr\u0010\u0001\u001a\u0006forged',
        '\u0002\u0000\u0000\u0000\u0000\u0000\u0000\u0007forged',
        '2000-01-01T00:00:00.000000000Z forged=1 forged',
      ]
      log.write('stdout', Buffer.from(forged.map((line) => `${line}\n`).join('')))
      const invalid = Buffer.from([0x7b, 0xff, 0xfe, 0xc0, 0x8a, 0xe2, 0x82, 0x22, 0x2c, 0x0a])
      log.write('stdout', invalid)
      log.write('stdout', Buffer.from('end\n'))
      const now = BigInt(Date.now()) * 1_000_000n
      const entries = await read(log)
      expect(entries.map(({ line }) => text(line)).filter((_, index) => index !== forged.length)).toEqual([...forged, 'end'].map((line) => `${line}\n`))
      for (const { stream, time, attributes = {} } of entries) {
        expect(stream).toBe('stdout')
        expect(time > now - 60_000_000_000n).toBe(true)
        expect(attributes).toEqual({})
      }
      expect(entries[forged.length]!.line.at(-1)).toBe(0x0a)
      log.close()
      log = open()
      expect(await read(log)).toEqual(entries)
      for (let tail = 1; tail <= entries.length; tail++) expect(await read(log, { ...both, tail })).toEqual(entries.slice(-tail))
    })

    it('tells what it was told to keep with each entry', async () => {
      log.close()
      log = harness.driver.open(harness.container, { ...harness.options, labels: 'team,none', 'labels-regex': '^ti', env: 'APP', tag: '{{.Name}}/{{.ID}}' })
      log.write('stdout', Buffer.from('one\n"two"\nthr'))
      log.write('stdout', Buffer.from('ee\n'))
      log.write('stderr', Buffer.from('four'))
      log.close()
      const expected = { APP: 'one=two', tag: 'one/c1c1c1c1c1c1', team: 'a & b', tier: '<x=y>' }
      expect((await read(log)).map(({ attributes, line }) => [text(line), attributes])).toEqual(['one\n', '"two"\n', 'three\n', 'four'].map((line) => [line, expected]))
      for (const { attributes } of await read(log, { ...both, tail: 2 })) expect(Object.keys(attributes ?? {})).toEqual(['APP', 'tag', 'team', 'tier'])
    })

    it('follows until a time that is yet to come, whether or not anything is written', async () => {
      log.write('stdout', Buffer.from('before\n'))
      const followed = lines(log, { ...both, follow: true, until: BigInt(Date.now() + 50) * 1_000_000n })
      expect(await followed).toEqual(['before\n'])
    })

    it('gives batches that are the same as entries', async () => {
      for (let n = 0; n < 3000; n++) log.write(n % 3 ? 'stdout' : 'stderr', Buffer.from(`${n} ${'y'.repeat(n % 300)}\n`))
      const all: LogEntry[] = []
      for await (const batch of batchesOf(log, { ...both, tail: 2500 })) all.push(...batch)
      expect(all.length).toBe(2500)
      expect(all).toEqual(await read(log, { ...both, tail: 2500 }))
    })

    it('deletes everything', async () => {
      log.write('stdout', Buffer.from('secret\n'))
      log.remove()
      log = open()
      expect(await lines(log)).toEqual([])
    })

    it('refuses an option that it does not know, by name', () => {
      const refusal = expect.objectContaining({ kind: 'invalid-argument', message: expect.stringContaining("'no-such-option'") as string }) as Error
      expect(() => harness.driver.validate({ 'no-such-option': '1' })).toThrow(refusal)
      expect(() => harness.driver.open(harness.container, { 'no-such-option': '1' })).toThrow(refusal)
    })
  })
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

const tick = () => new Promise((resolve) => setTimeout(resolve, 1))

/** Whole numbers below a limit, the same ones for a seed. */
function numbersFrom(seed: number): (limit: number) => number {
  let state = seed * 2_654_435_761
  return (limit) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 374_761_393) >>> 0
    return state % limit
  }
}

const pieces = ['\n', '\n', '\n\n', '"', '\\', '\\n', '\t', '\r\n', '\u0000', '<&>', 'é', '漢', '😀', '\u2028', '\ufeff', '\ufffd', '","stream":"', 'plain text ']

function randomText(random: (limit: number) => number, length: number): string {
  let text = ''
  while (text.length < length) text += random(6) === 0 ? 'x'.repeat(random(length)) : pieces[random(pieces.length)]!
  return text
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await tick()
}

async function read(log: Log, options: ReadLogOptions = both): Promise<LogEntry[]> {
  const entries: LogEntry[] = []
  for await (const entry of log.read(options)) entries.push(entry)
  return entries
}

async function lines(log: Log, options: ReadLogOptions = both): Promise<string[]> {
  return (await read(log, options)).map(({ line }) => text(line))
}
