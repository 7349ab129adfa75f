import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Log, ReadLogOptions } from '@berth/log-driver'
import { loggedContainer } from '@berth/log-driver/contract'
import { jsonFileLogDriver } from '../src/index.ts'

const both = { stdout: true, stderr: true }
let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-json-file-'))
  path = join(directory, 'c1c1c1c1c1c1c1c1-json.log')
})
afterEach(() => rmSync(directory, { recursive: true }))

const open = (options: Record<string, string> = {}) => jsonFileLogDriver().open(loggedContainer(directory), options)

async function lines(log: Log, options: ReadLogOptions = both): Promise<string[]> {
  const seen: string[] = []
  for await (const { line } of log.read(options)) seen.push(Buffer.from(line).toString())
  return seen
}

describe('the file', () => {
  it('is Docker’s: one JSON record a line, mode 0640, named after the container', () => {
    const log = open()
    log.write('stdout', Buffer.from('plain\n'))
    log.write('stderr', Buffer.from('with "quotes"\tand tab\nrest'))
    log.close()
    expect(log.path).toBe(path)
    expect(statSync(path).mode & 0o777).toBe(0o640)
    const records = readFileSync(path, 'utf8').trimEnd().split('\n')
    expect(records[0]).toMatch(/^\{"log":"plain\\n","stream":"stdout","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z"\}$/)
    expect(records.map((record) => (JSON.parse(record) as { log: string }).log)).toEqual(['plain\n', 'with "quotes"\tand tab\n', 'rest'])
    expect(readdirSync(directory)).toEqual(['c1c1c1c1c1c1c1c1-json.log'])
  })

  it('has one U+FFFD for each byte that is not UTF-8', async () => {
    const log = open()
    log.write('stdout', Buffer.from([0x61, 0xff, 0xe2, 0x82, 0x62, 0xc3, 0xa9, 0xed, 0xa0, 0x80, 0x0a]))
    expect(await lines(log)).toEqual(['a\ufffd\ufffd\ufffdbé\ufffd\ufffd\ufffd\n'])
    log.close()
  })

  it('escapes what Docker escapes, and nothing else', () => {
    const log = open({ tag: 'é<' })
    log.write('stdout', Buffer.from('\0\u0001\t\r"\\<>&\u007fé€😀\u2028\u2029\u202a\ufffd$&\n'))
    log.close()
    const text = String.raw`"\u0000\u0001\u0009\r\"\\\u003c\u003e\u0026${'\u007f'}é€😀\u2028\u2029${'\u202a\ufffd'}$\u0026\n"`
    expect(readFileSync(path, 'utf8')).toContain(`{"log":${text},"stream":"stdout","attrs":{"tag":"é\\u003c"},`)
  })

  it('loses only the torn record when its end was torn', async () => {
    const log = open()
    log.write('stdout', Buffer.from('one\ntwo\n'))
    log.close()
    appendFileSync(path, '{"log":"thr')
    const again = open()
    again.write('stdout', Buffer.from('four\n'))
    expect(await lines(again)).toEqual(['one\n', 'two\n', 'four\n'])
    again.close()
  })

  it('passes over what is no record', async () => {
    appendFileSync(path, 'garbage\n{"log":5}\nnull\n')
    const log = open()
    log.write('stdout', Buffer.from('one\n'))
    expect(await lines(log)).toEqual(['one\n'])
    log.close()
  })

  it('keeps all that a killed process had written, unfinished lines too', async () => {
    const program = `
      import { jsonFileLogDriver } from ${JSON.stringify(fileURLToPath(new URL('../src/index.ts', import.meta.url)))}
      const log = jsonFileLogDriver().open(${JSON.stringify(loggedContainer(directory))}, {})
      log.write('stdout', Buffer.from('whole\\nunfini'))
      log.write('stderr', Buffer.from('other'))
      process.kill(process.pid, 'SIGKILL')`
    const child = spawn(process.execPath, ['--conditions=@berth/source', '--input-type=module', '-e', program], { stdio: 'inherit' })
    expect((await once(child, 'exit'))[1]).toBe('SIGKILL')
    const log = open()
    log.write('stdout', Buffer.from('shed\n'))
    log.close()
    expect(await lines(log)).toEqual(['whole\n', 'unfinished\n', 'other'])
  })

  it('does not take up an unfinished line twice', async () => {
    const log = open()
    log.write('stdout', Buffer.from('begin'))
    log.write('stdout', Buffer.from('ning\n'))
    const again = open()
    again.close()
    expect(await lines(again)).toEqual(['beginning\n'])
  })
})

describe('rotation', () => {
  const options = { 'max-size': '1k', 'max-file': '3' }

  it('keeps as many files as it is told, and reads across them', async () => {
    const log = open(options)
    for (let n = 0; n < 200; n++) log.write('stdout', Buffer.from(`line ${n}\n`))
    expect(readdirSync(directory).sort()).toEqual(['c1c1c1c1c1c1c1c1-json.log', 'c1c1c1c1c1c1c1c1-json.log.1', 'c1c1c1c1c1c1c1c1-json.log.2'])
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).size).toBeLessThan(1100)
    const all = await lines(log)
    expect(all.at(-1)).toBe('line 199\n')
    const first = Number(all[0]!.split(' ')[1])
    expect(first).toBeGreaterThan(150)
    expect(all).toEqual(Array.from({ length: 200 - first }, (_, n) => `line ${first + n}\n`))
    for (let tail = 0; tail <= all.length + 1; tail++) expect(await lines(log, { ...both, tail })).toEqual(tail ? all.slice(-tail) : [])
    log.remove()
    expect(readdirSync(directory)).toEqual([])
  })

  it('splits one big chunk over files', async () => {
    const log = open({ 'max-size': '1k', 'max-file': '100' })
    const expected = Array.from({ length: 300 }, (_, n) => `line ${n}\n`)
    log.write('stdout', Buffer.from(expected.join('')))
    expect(readdirSync(directory).length).toBeGreaterThan(10)
    expect(await lines(log)).toEqual(expected)
    log.close()
  })

  it('is followed without a gap, also with a single file', async () => {
    for (const maxFile of ['1', '3']) {
      const log = open({ 'max-size': '2k', 'max-file': maxFile })
      const seen: string[] = []
      const followed = (async () => {
        for await (const { line } of log.read({ ...both, follow: true, tail: 0 })) seen.push(Buffer.from(line).toString())
      })()
      const expected = []
      for (let n = 0; n < 100; n++) {
        const line = `${maxFile}: ${n} ${'x'.repeat(90)}\n`
        expected.push(line)
        log.write('stdout', Buffer.from(line))
        // It keeps up: never as many files behind as there are.
        while (seen.length < n - 5) await new Promise((resolve) => setImmediate(resolve))
      }
      log.close()
      await followed
      expect(seen).toEqual(expected)
      log.remove()
    }
  })
})

describe('a big log', () => {
  it('is tailed from its end', async () => {
    const log = open()
    const block = Buffer.from(Array.from({ length: 1000 }, (_, n) => `${n} ${'y'.repeat(60)}\n`).join(''))
    for (let n = 0; n < 100; n++) log.write('stdout', block)
    expect((await lines(log, { ...both, tail: 1500 })).length).toBe(1500)
    expect((await lines(log, { ...both, tail: 2 })).map((line) => line.slice(0, 3))).toEqual(['998', '999'])
    log.close()
  })
})

describe('options', () => {
  it.each([
    [{ 'max-size': 'many' }, 'max-size'],
    [{ 'max-size': '0' }, 'max-size'],
    [{ 'max-size': '1k', 'max-file': '0' }, 'max-file'],
    [{ 'max-file': '1', compress: 'true' }, 'compress'],
    [{ 'max-size': '-1', compress: 'true' }, 'compress'],
    [{ compress: 'perhaps' }, 'compress'],
    [{ mode: 'sometimes' }, 'mode'],
  ])('refuses %o', (options, name) => {
    expect(() => jsonFileLogDriver().validate(options)).toThrow(expect.objectContaining({ kind: 'invalid-argument', message: expect.stringContaining(name) as string }) as Error)
  })

  it.each<Record<string, string>>([{ 'max-size': '10m' }, { 'max-size': '1.5k', 'max-file': '2' }, { 'max-size': '-1' }, { tag: '{{.Name}}', labels: 'a,b', env: 'C' }, { mode: 'non-blocking' }, { compress: 'true' }])('takes %o', (options) => {
    expect(() => jsonFileLogDriver().validate(options)).not.toThrow()
  })
})
