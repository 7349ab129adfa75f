import { BerthError } from '@berth/core'

/** One step of a compiled pattern: consumes a character, or goes on elsewhere without. */
type Step =
  | { kind: 'character'; matches(character: number): boolean }
  | { kind: 'fork'; to: [number, number] }
  | { kind: 'jump'; to: number }
  | { kind: 'assert'; holds(before: number | undefined, after: number | undefined): boolean }
  | { kind: 'match' }

type Node =
  | { kind: 'character'; matches(character: number): boolean }
  | { kind: 'assert'; holds(before: number | undefined, after: number | undefined): boolean }
  | { kind: 'sequence'; nodes: Node[] }
  | { kind: 'choice'; nodes: Node[] }
  | { kind: 'repeat'; node: Node; least: number; most: number }

/** Steps of a program; a client's pattern cannot make the daemon work for long, whatever it is matched with. */
const maxSteps = 5000
const maxRepeat = 1000
const maxDepth = 100
/** Steps that one pattern is matched with in all; what is asked for after that does not match. */
const maxWork = 5_000_000

/**
 * A regular expression in the everyday part of RE2's syntax, which Docker's options are written in: literals, `.`, classes, `\d \w \s \b` and their opposites,
 * groups, `|`, `* + ? {n,m}`, `^ $ \A \z` and `(?i)` in front. It is matched in time linear in the text: clients give such patterns, and one must not hang the engine.
 *
 * @see https://github.com/google/re2/wiki/Syntax
 */
export class NamePattern {
  readonly #program: Step[]
  #work = 0

  /** Throws `invalid-argument` for what is no pattern, or too big. */
  constructor(source: string) {
    this.#program = compile(new Parser(source).parse(), source)
  }

  /** Whether it matches anywhere in the text. */
  test(text: string): boolean {
    const characters = Array.from(text, (character) => character.codePointAt(0)!)
    let current = new Set<number>()
    for (let index = 0; index <= characters.length; index++) {
      const [before, after] = [characters[index - 1], characters[index]]
      if (this.#enter(current, 0, before, after)) return true
      const next = new Set<number>()
      for (const at of current) {
        const step = this.#program[at]!
        if (after === undefined || step.kind !== 'character' || !step.matches(after)) continue
        if (this.#enter(next, at + 1, after, characters[index + 1])) return true
      }
      current = next
    }
    return false
  }

  /** Adds a step, and those that are reached from it without a character. Whether the end of the pattern is among them. */
  #enter(states: Set<number>, start: number, before: number | undefined, after: number | undefined): boolean {
    const stack = [start]
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (states.has(at) || ++this.#work > maxWork) continue
      states.add(at)
      const step = this.#program[at]!
      if (step.kind === 'match') return true
      if (step.kind === 'jump') stack.push(step.to)
      else if (step.kind === 'fork') stack.push(...step.to)
      else if (step.kind === 'assert' && step.holds(before, after)) stack.push(at + 1)
    }
    return false
  }
}

const invalid = (source: string, what: string) => new BerthError('invalid-argument', 'LOG_OPTION_INVALID', `error parsing regexp: ${what}: \`${source}\``)

function compile(root: Node, source: string): Step[] {
  const program: Step[] = []
  const push = (step: Step): number => {
    if (program.length >= maxSteps) throw invalid(source, 'expression is too large')
    return program.push(step) - 1
  }
  let work = 0
  const emit = (node: Node): void => {
    if (++work > maxSteps * 2) throw invalid(source, 'expression is too large')
    if (node.kind === 'character' || node.kind === 'assert') push(node)
    else if (node.kind === 'sequence') node.nodes.forEach(emit)
    else if (node.kind === 'choice') {
      const ends: { kind: 'jump'; to: number }[] = []
      node.nodes.forEach((choice, index) => {
        const isLast = index === node.nodes.length - 1
        const fork: Step & { kind: 'fork' } = { kind: 'fork', to: [0, 0] }
        if (!isLast) fork.to[0] = push(fork) + 1
        emit(choice)
        if (isLast) return
        const end: Step & { kind: 'jump' } = { kind: 'jump', to: 0 }
        push(end)
        ends.push(end)
        fork.to[1] = program.length
      })
      for (const end of ends) end.to = program.length
    } else {
      for (let count = 0; count < node.least; count++) emit(node.node)
      if (node.most === Infinity) {
        const fork: Step & { kind: 'fork' } = { kind: 'fork', to: [0, 0] }
        const start = push(fork)
        emit(node.node)
        push({ kind: 'jump', to: start })
        fork.to = [start + 1, program.length]
      } else {
        const forks: (Step & { kind: 'fork' })[] = []
        for (let count = node.least; count < node.most; count++) {
          const fork: Step & { kind: 'fork' } = { kind: 'fork', to: [0, 0] }
          fork.to[0] = push(fork) + 1
          forks.push(fork)
          emit(node.node)
        }
        for (const fork of forks) fork.to[1] = program.length
      }
    }
  }
  emit(root)
  push({ kind: 'match' })
  return program
}

const code = (character: string) => character.codePointAt(0)!
const between = (first: string, last: string) => (character: number) => character >= code(first) && character <= code(last)
const isDigit = between('0', '9')
const isUpper = between('A', 'Z')
const isLower = between('a', 'z')
const isWord = (character: number) => isDigit(character) || isUpper(character) || isLower(character) || character === code('_')
const isSpace = (character: number) => '\t\n\f\r '.includes(String.fromCodePoint(character))
const classes: Record<string, (character: number) => boolean> = {
  d: isDigit,
  D: (character) => !isDigit(character),
  w: isWord,
  W: (character) => !isWord(character),
  s: isSpace,
  S: (character) => !isSpace(character),
}
const isBoundary = (before: number | undefined, after: number | undefined) => (before !== undefined && isWord(before)) !== (after !== undefined && isWord(after))
const isStart = (before: number | undefined) => before === undefined
const isEnd = (_before: number | undefined, after: number | undefined) => after === undefined
const asserts: Record<string, (before: number | undefined, after: number | undefined) => boolean> = {
  b: isBoundary,
  B: (before, after) => !isBoundary(before, after),
  A: isStart,
  z: isEnd,
}
const escapes: Record<string, string> = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v', a: '\u0007' }

class Parser {
  readonly #source: string
  readonly #characters: string[]
  #at = 0
  #depth = 0
  #ignoresCase = false

  constructor(source: string) {
    this.#source = source
    this.#characters = Array.from(source)
  }

  parse(): Node {
    if (this.#take('(?i)')) this.#ignoresCase = true
    const node = this.#choice()
    if (this.#at < this.#characters.length) throw invalid(this.#source, 'unexpected )')
    return node
  }

  #take(text: string): boolean {
    if (this.#characters.slice(this.#at, this.#at + text.length).join('') !== text) return false
    this.#at += text.length
    return true
  }

  #next(): string {
    const character = this.#characters[this.#at++]
    if (character === undefined) throw invalid(this.#source, 'unexpected end')
    return character
  }

  #choice(): Node {
    if (++this.#depth > maxDepth) throw invalid(this.#source, 'expression nests too deeply')
    const nodes: Node[] = []
    do nodes.push(this.#sequence())
    while (this.#take('|'))
    this.#depth--
    return nodes.length === 1 ? nodes[0]! : { kind: 'choice', nodes }
  }

  #sequence(): Node {
    const nodes: Node[] = []
    for (let character = this.#characters[this.#at]; character !== undefined && character !== '|' && character !== ')'; character = this.#characters[this.#at]) {
      nodes.push(this.#repeated(this.#atom()))
    }
    return { kind: 'sequence', nodes }
  }

  #repeated(node: Node): Node {
    const [least, most] = this.#counts() ?? [1, 1]
    if (least === 1 && most === 1) return node
    this.#take('?') // Lazy or greedy is the same to who only asks whether it matches.
    if (this.#counts()) throw invalid(this.#source, 'invalid nested repetition operator')
    return { kind: 'repeat', node, least, most }
  }

  #counts(): [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity]
    if (this.#take('+')) return [1, Infinity]
    if (this.#take('?')) return [0, 1]
    const [whole, least, comma, most] = /^\{(\d{1,4})(?:(,)(\d{0,4}))?\}/.exec(this.#characters.slice(this.#at, this.#at + 12).join('')) ?? []
    if (whole === undefined) return undefined
    this.#at += whole.length
    const counts: [number, number] = [Number(least), comma === undefined ? Number(least) : most ? Number(most) : Infinity]
    if (counts[0] > maxRepeat || (counts[1] > maxRepeat && counts[1] !== Infinity) || counts[0] > counts[1]) throw invalid(this.#source, 'invalid repeat count')
    return counts
  }

  #atom(): Node {
    const character = this.#next()
    if (character === '(') return this.#group()
    if (character === '[') return { kind: 'character', matches: this.#class() }
    if (character === '.') return { kind: 'character', matches: (other) => other !== code('\n') }
    if (character === '^') return { kind: 'assert', holds: isStart }
    if (character === '$') return { kind: 'assert', holds: isEnd }
    if ('*+?'.includes(character)) throw invalid(this.#source, 'missing argument to repetition operator')
    if (character !== '\\') return this.#literal(character)
    const escaped = this.#next()
    const holds = asserts[escaped]
    if (holds) return { kind: 'assert', holds }
    const matches = classes[escaped]
    return matches ? { kind: 'character', matches } : this.#literal(this.#unescape(escaped))
  }

  #group(): Node {
    if (this.#take('?') && !this.#take(':')) {
      if (!this.#take('P')) throw invalid(this.#source, 'invalid or unsupported Perl syntax')
      if (this.#next() !== '<') throw invalid(this.#source, 'invalid named capture')
      while (this.#next() !== '>');
    }
    const node = this.#choice()
    if (!this.#take(')')) throw invalid(this.#source, 'missing closing )')
    return node
  }

  #class(): (character: number) => boolean {
    const isNegated = this.#take('^')
    const members: ((character: number) => boolean)[] = []
    for (let isFirst = true; isFirst || this.#characters[this.#at] !== ']'; isFirst = false) {
      const first = this.#next()
      const named = first === '\\' ? classes[this.#characters[this.#at] ?? ''] : undefined
      if (named) {
        this.#at++
        members.push(named)
        continue
      }
      const low = code(first === '\\' ? this.#unescape(this.#next()) : first)
      let high = low
      if (this.#characters[this.#at] === '-' && this.#characters[this.#at + 1] !== ']') {
        this.#at++
        const last = this.#next()
        high = code(last === '\\' ? this.#unescape(this.#next()) : last)
        if (high < low) throw invalid(this.#source, 'invalid character class range')
      }
      members.push(this.#eitherCase((character) => character >= low && character <= high))
    }
    this.#at++
    return (character) => members.some((member) => member(character)) !== isNegated
  }

  #unescape(character: string): string {
    const escaped = escapes[character]
    if (escaped !== undefined) return escaped
    if (/[A-Za-z0-9]/.test(character)) throw invalid(this.#source, 'invalid escape sequence')
    return character
  }

  #literal(character: string): Node {
    const wanted = code(character)
    return { kind: 'character', matches: this.#eitherCase((other) => other === wanted) }
  }

  #eitherCase(matches: (character: number) => boolean): (character: number) => boolean {
    if (!this.#ignoresCase) return matches
    return (character) => {
      const text = String.fromCodePoint(character)
      return matches(character) || matches(code(text.toLowerCase())) || matches(code(text.toUpperCase()))
    }
  }
}
