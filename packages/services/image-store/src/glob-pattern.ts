import { BerthError } from '@berth/core'

type Step = 'any-run' | ((character: string) => boolean)

/**
 * A shell pattern as Go's `path.Match` reads it: `*` and `?` stop at a slash, `[…]` is a class (`[^…]` its complement), `\` takes the next character as it is.
 * All possibilities are followed side by side, so that no pattern takes longer than its length times the text's.
 * @throws `invalid-argument` for a class without an end, a `\` without a character, or a pattern longer than any name.
 */
export function globPattern(pattern: string): (text: string) => boolean {
  const tokens = pattern.match(/\*+|\?|\[\^?(?:\\.|[^\]\\])+\]|\\.|[^*?[\\]/gsu) ?? []
  if (pattern.length > 512 || tokens.join('') !== pattern) throw syntaxError()
  const steps = tokens.map(stepOf)
  return (text) => {
    let places = afterRuns(steps, new Set([0]))
    for (const character of text) {
      const next = new Set<number>()
      for (const place of places) {
        const step = steps[place]
        if (step === 'any-run') {
          if (character !== '/') next.add(place)
        } else if (step?.(character)) {
          next.add(place + 1)
        }
      }
      places = afterRuns(steps, next)
    }
    return places.has(steps.length)
  }
}

/** The places with those that are reached from them by a `*` that takes nothing. */
function afterRuns(steps: readonly Step[], places: Set<number>): Set<number> {
  for (const place of places) if (steps[place] === 'any-run') places.add(place + 1)
  return places
}

function stepOf(token: string): Step {
  if (token.startsWith('*')) return 'any-run'
  if (token === '?') return (character) => character !== '/'
  if (token.length > 1 && token.startsWith('[')) return classOf(token)
  const wanted = token.length > 1 ? token.slice(1) : token
  return (character) => character === wanted
}

function classOf(token: string): Step {
  const isNegated = token.startsWith('[^')
  const members = token.slice(isNegated ? 2 : 1, -1).match(/\\.|[^\\]/gsu) ?? []
  const body = members.map((member) => (member === '-' ? '-' : (member.at(-1) ?? '').replace(/[\\^\][-]/u, '\\$&')))
  try {
    const expression = new RegExp(`^[${isNegated ? '^' : ''}${body.join('')}]$`, 's')
    return (character) => expression.test(character)
  } catch {
    throw syntaxError()
  }
}

function syntaxError(): BerthError {
  return new BerthError('invalid-argument', 'INVALID_PATTERN', 'syntax error in pattern')
}
