import { BerthError } from '@berth/core'

/**
 * A shell pattern as Go's `path.Match` reads it: `*` and `?` stop at a slash, `[…]` is a class (`[^…]` its complement), `\` takes the next character as it is.
 * @throws `invalid-argument` for a class without an end or a `\` without a character.
 */
export function globPattern(pattern: string): RegExp {
  if (pattern.length > 1024) throw syntaxError()
  const tokens = pattern.match(/\*+|\?|\[\^?(?:\\.|[^\]\\])+\]|\\.|[^*?[\\]/gsu) ?? []
  if (tokens.join('') !== pattern) throw syntaxError()
  const source = tokens.map((token) => {
    if (token.startsWith('*')) return '[^/]*'
    if (token === '?') return '[^/]'
    if (token.length > 1 && token.startsWith('[')) return classOf(token)
    return literal(token.length > 1 && token.startsWith('\\') ? token.slice(1) : token)
  })
  try {
    return new RegExp(`^${source.join('')}$`, 'su')
  } catch {
    throw syntaxError()
  }
}

function classOf(token: string): string {
  const isNegated = token.startsWith('[^')
  const members = token.slice(isNegated ? 2 : 1, -1).match(/\\.|[^\\]/gsu) ?? []
  const body = members.map((member) => (member === '-' ? '-' : literal(member.length > 1 ? member.slice(1) : member)))
  return `[${isNegated ? '^' : ''}${body.join('')}]`
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/u, '\\$&')
}

function syntaxError(): BerthError {
  return new BerthError('invalid-argument', 'INVALID_PATTERN', 'syntax error in pattern')
}
