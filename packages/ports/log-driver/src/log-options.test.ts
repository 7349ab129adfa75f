import { describe, expect, it } from 'vitest'
import { attributesOf, checkOptions, type LoggedContainer, parseDelivery, parseSize, tagOf } from './index.ts'
import { NamePattern } from './name-pattern.ts'

const container: LoggedContainer = {
  id: '0123456789abcdef'.repeat(4),
  name: 'web',
  imageId: `sha256:${'ab'.repeat(32)}`,
  imageName: 'busybox:latest',
  command: ['sh', '-c', 'true'],
  createdAt: new Date(0),
  labels: { 'com.example.team': 'a', 'com.example.tier': 'b', other: 'c' },
  env: ['PATH=/bin', 'APP=x=y', 'APP_MODE=z', 'EMPTY'],
  directory: '/containers/c1',
}
const refusal = (text: string) => expect.objectContaining({ kind: 'invalid-argument', message: expect.stringContaining(text) as string }) as Error

describe('attributes', () => {
  it('are the labels and variables that are named, and the tag, sorted', () => {
    expect(attributesOf(container, {})).toEqual({})
    const attributes = attributesOf(container, { labels: 'other,missing', env: 'APP,EMPTY', tag: '{{.Name}}/{{.ID}}' })
    expect(Object.entries(attributes)).toEqual([['APP', 'x=y'], ['other', 'c'], ['tag', 'web/0123456789ab']])
  })

  it('are chosen by patterns', () => {
    expect(attributesOf(container, { 'labels-regex': '^com\\.example\\.t(eam|ier)$' })).toEqual({ 'com.example.team': 'a', 'com.example.tier': 'b' })
    expect(attributesOf(container, { 'env-regex': '^APP' })).toEqual({ APP: 'x=y', APP_MODE: 'z' })
  })

  it('keep a label named __proto__', () => {
    expect(Object.entries(attributesOf({ ...container, labels: JSON.parse('{"__proto__":"x"}') as Record<string, string> }, { labels: '__proto__' }))).toEqual([['__proto__', 'x']])
  })
})

describe('a tag', () => {
  it.each([
    ['', '{{.ID}}', '0123456789ab'],
    ['{{.FullID}}', '', container.id],
    ['{{ .ImageName }} {{.ImageFullID}}', '', `busybox:latest ${container.imageId}`],
    ['{{.ImageID}} {{.Command}} {{.DaemonName}}', '', 'sha256:ababa sh -c true berth'],
    ['plain $& text', '', 'plain $& text'],
  ])('%s is replaced', (tag, byDefault, expected) => {
    checkOptions('x', { tag }, [])
    expect(tagOf(container, { tag }, byDefault)).toBe(expected)
  })

  it.each(['{{.Nothing}}', '{{.ID', '{{range .}}{{end}}', '{{.constructor}}'])('%s is refused', (tag) => {
    expect(() => checkOptions('x', { tag }, [])).toThrow(refusal('tag'))
  })
})

describe('options', () => {
  it('say how output is delivered', () => {
    expect(parseDelivery({})).toEqual({ mode: 'blocking', maxBufferSize: 1 << 20 })
    expect(parseDelivery({ mode: 'non-blocking', 'max-buffer-size': '4m' })).toEqual({ mode: 'non-blocking', maxBufferSize: 4 << 20 })
  })

  it.each<[Record<string, string>, string]>([
    [{ mode: 'sometimes' }, 'logger: logging mode not supported: sometimes'],
    [{ 'max-buffer-size': '1m' }, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"],
    [{ mode: 'non-blocking', 'max-buffer-size': 'x' }, 'max-buffer-size'],
    [{ 'labels-regex': '(' }, 'labels-regex'],
    [{ 'env-regex': 'a**' }, 'env-regex'],
    [{ unknown: 'x' }, "unknown log opt 'unknown' for x log driver"],
  ])('%o are refused', (options, text) => {
    expect(() => checkOptions('x', options, ['own'])).toThrow(refusal(text))
  })

  it('are sizes', () => {
    expect(parseSize('n', '10m', 1000)).toBe(10_000_000)
    expect(parseSize('n', '1.5k', 1024)).toBe(1536)
    for (const text of ['', '0', '-1', '1x', 'k']) expect(() => parseSize('n', text, 1000)).toThrow(refusal('n'))
  })
})

describe('NamePattern', () => {
  const names = ['', 'a', 'b', 'ab', 'aab', 'abc', 'A', 'x.y', 'a_1', 'foo bar', 'a-b', '\n', 'ä', '😀', ']', 'aaaa', 'bab', '1']
  it.each([
    'a', '^a', 'b$', '^a*b$', '^(a|b)+$', '^a?b?c?$', '.', '^.$', '\\.', '[a-c]', '^[^a-c]+$', '\\d', '^\\w+$', '\\W', '\\s', '\\bbar', 'a\\B', '^a{2}b', '^a{2,}$', '^a{1,3}$', '(?:ab)|x',
    '[]]', '[a\\-]', '[\\d_]', '', 'a|', '^$', 'a*?b', '[-a]', '()', '(a*)*b', 'ä|😀', '^.{1,2}$',
  ])('%s matches as other engines say', (source) => {
    // JavaScript says otherwise only of [] and $ before the last newline.
    const other = new RegExp(source.replace('[]]', '[\\]]'), 'u'.repeat(Number(!source.includes('\\-'))))
    const pattern = new NamePattern(source)
    expect(names.filter((name) => pattern.test(name))).toEqual(names.filter((name) => other.test(name)))
  })

  it('ignores case when told', () => {
    expect(new NamePattern('(?i)^AbC$').test('aBc')).toBe(true)
    expect(new NamePattern('(?P<name>a)').test('a')).toBe(true)
  })

  it('is not made to work for long (ReDoS)', () => {
    expect(new NamePattern('^(a+)+$').test(`${'a'.repeat(100_000)}b`)).toBe(false)
    expect(new NamePattern('(x+x+)+y').test('x'.repeat(100_000))).toBe(false)
    for (const source of ['(a{1000}){1000}', '((((){1000}){1000}){1000}){1000}', '('.repeat(5000)]) expect(() => new NamePattern(source)).toThrow(refusal('regexp'))
  })

  it.each(['a**', '*', '(', ')', '[', '[b-a]', 'a{2,1}', '\\', '(?=a)', '\\1', '(?<!x)', 'a{2000}'])('%s is refused', (source) => {
    expect(() => new NamePattern(source)).toThrow(refusal('regexp'))
  })
})
