import { invalid } from '../create/validate-config.ts'

/** Characters of all expressions of one request: compiling one costs time, up to a millisecond a character. */
const maxLength = 512
const plain = /^[\w\s/-]*$/

/**
 * What a client's regular expressions match, each anywhere in a text, as Go's `regexp` has them: in time that grows with the text alone, whatever the
 * expression. One that is none matches nothing. Throws `invalid-argument` for more than can be compiled in a moment.
 * @see https://github.com/google/re2/wiki/Syntax
 */
export async function compilePatterns(patterns: readonly string[]): Promise<(text: string) => boolean> {
  const [texts, expressions] = [patterns.filter((pattern) => plain.test(pattern)), patterns.filter((pattern) => !plain.test(pattern))]
  const tests = texts.map((part) => (text: string): boolean => text.includes(part))
  if (expressions.length === 0) return (text) => tests.some((test) => test(text))
  if (expressions.join('').length > maxLength) throw invalid(`the regular expressions of a filter hold at most ${maxLength} characters`)
  // Loaded when needed: it is large, and most names are asked for as they are.
  const { RE2JS, RE2JSException } = await import('re2js')
  for (const expression of expressions) {
    try {
      const compiled = RE2JS.compile(expression)
      tests.push((text) => compiled.matcher(text).find())
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error
    }
  }
  return (text) => tests.some((test) => test(text))
}
