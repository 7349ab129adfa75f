import { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { parseMoment } from '../flags/durations.ts'

interface LogsFlags {
  follow?: boolean
  tail?: string
  since?: string
  until?: string
  timestamps?: boolean
  details?: boolean
}

export function logsCommand(cli: Cli): Command {
  return new Command('logs')
    .description('show what a container wrote')
    .argument('<container>')
    .option('-f, --follow', 'go on as it writes')
    .option('-n, --tail <lines>', 'only so many lines from the end', 'all')
    .option('--since <time>', 'only from then on: a date, or 10m for ten minutes ago')
    .option('--until <time>', 'only until then')
    .option('-t, --timestamps', 'with times')
    .option('--details', 'with what the log driver was told to note of the container')
    .action(async (container: string, { follow, tail = 'all', since, until, timestamps, details }: LogsFlags) => {
      const { containers } = await cli.engine()
      const now = Date.now()
      const output = containers.logs(container, {
        follow,
        timestamps,
        details,
        tail: /^\d+$/.test(tail) ? Number(tail) : undefined,
        since: since === undefined ? undefined : parseMoment(since, now),
        until: until === undefined ? undefined : parseMoment(until, now),
      })
      for await (const { stream, data } of output) {
        const target = stream === 'stderr' ? cli.io.stderr : cli.io.stdout
        if (!target.write(data)) await new Promise<void>((resolve) => void target.once('drain', resolve))
      }
    })
}
