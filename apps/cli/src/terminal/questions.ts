import { BerthError } from '@berth/core'
import type { CliIo } from '../cli.ts'
import { holdTerminal } from './raw-mode.ts'

const enter = new Set([0x0a, 0x0d])
const erase = new Set([0x08, 0x7f])
const [interrupt, endOfInput] = [0x03, 0x04]

/** Asks for a line, which is seen as it is typed. */
export function readAnswer(io: CliIo, question: string): Promise<string> {
  return readLine(io, question, { isSecret: false })
}

/** Asks for a line that the terminal does not show. */
export async function readSecret(io: CliIo, question: string): Promise<string> {
  using _terminal = holdTerminal(io, true)
  try {
    return await readLine(io, question, { isSecret: true })
  } finally {
    io.stderr.write('\n')
  }
}

/** An input that is asked from, and what was typed after the end of the last line. */
interface Asked {
  chunks: AsyncIterator<Uint8Array>
  ahead: number[]
}

const asked = new WeakMap<CliIo['stdin'], Asked>()

function askedFrom(stdin: CliIo['stdin']): Asked {
  const known = asked.get(stdin) ?? { chunks: stdin[Symbol.asyncIterator](), ahead: [] }
  asked.set(stdin, known)
  return known
}

/** Throws `cancelled` at ctrl-c. */
async function readLine({ stdin, stderr }: CliIo, question: string, { isSecret }: { isSecret: boolean }): Promise<string> {
  stderr.write(question)
  const input = askedFrom(stdin)
  const typed: number[] = []
  for (;;) {
    for (let byte = input.ahead.shift(); byte !== undefined; byte = input.ahead.shift()) {
      if (isSecret && byte === interrupt) throw new BerthError('cancelled', 'INTERRUPTED', 'interrupted')
      if (enter.has(byte) || (isSecret && byte === endOfInput)) return lineOf(typed, stdin)
      if (isSecret && erase.has(byte)) typed.pop()
      else typed.push(byte)
    }
    const next = await input.chunks.next()
    if (next.done) return lineOf(typed, stdin)
    input.ahead.push(...next.value)
  }
}

/** Without holding the process open for more. */
function lineOf(bytes: readonly number[], stdin: CliIo['stdin']): string {
  stdin.pause()
  return Buffer.from(bytes).toString().trim()
}
