import type { CliOutput } from '../cli.ts'
import { humanSize } from './human.ts'
import { printable } from './table.ts'

interface Message {
  id?: string
  status?: string
  /** Printed as it is, but for control characters. */
  stream?: string
  progressDetail?: { current?: number; total?: number }
}

const barWidth = 30

function bar({ current = 0, total = 0 }: { current?: number; total?: number }): string {
  if (total <= 0) return current > 0 ? ` ${humanSize(current)}` : ''
  const filled = Math.min(barWidth, Math.floor((current / total) * barWidth))
  return ` [${'='.repeat(filled)}${filled < barWidth ? '>' : ''}${' '.repeat(Math.max(0, barWidth - filled - 1))}] ${humanSize(current)}/${humanSize(total)}`
}

/** Shows progress: on a terminal a line for each ID that is drawn anew, elsewhere a line for each change of status. */
export async function showProgress(messages: AsyncIterable<Message>, output: CliOutput): Promise<void> {
  /** IDs by the line they stand on. */
  const lines: string[] = []
  const said = new Map<string, string>()
  for await (const { id, status = '', stream, progressDetail } of messages) {
    if (stream !== undefined) {
      output.write(stream.split('\n').map(printable).join('\n'))
      lines.length = 0
      continue
    }
    const text = printable(`${id === undefined ? '' : `${id}: `}${status}`)
    if (id === undefined || !output.isTTY) {
      if (id !== undefined && said.get(id) === status) continue
      if (id !== undefined) said.set(id, status)
      if (id === undefined || progressDetail?.current === undefined) output.write(`${text}\n`)
      if (id === undefined) lines.length = 0
      continue
    }
    const line = lines.indexOf(id)
    const drawn = `${text}${bar(progressDetail ?? {})}`.slice(0, (output.columns ?? 80) - 1)
    if (line < 0) {
      lines.push(id)
      output.write(`${drawn}\n`)
    } else {
      const up = lines.length - line
      output.write(`\x1b[${up}A\r\x1b[2K${drawn}\r\x1b[${up}B`)
    }
  }
}
