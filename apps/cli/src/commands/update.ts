import { Command } from 'commander'
import { type Cli, forEach, usageError } from '../cli.ts'
import { parseRestartPolicy } from '../flags/create-request.ts'
import { addLimitFlags, type LimitFlags, limits } from '../flags/limit-flags.ts'

interface UpdateFlags extends LimitFlags {
  restart?: string
}

export function updateCommand(cli: Cli): Command {
  return addLimitFlags(new Command('update').description('change the limits and the restart policy of containers'))
    .argument('<containers...>')
    .option('--restart <policy>', 'no, always, unless-stopped, on-failure[:times]')
    .action((refs: string[], flags: UpdateFlags) => {
      if (Object.keys(flags).length === 0) throw usageError('you must provide one or more flags when using this command')
      const request = { ...limits(flags), RestartPolicy: flags.restart === undefined ? undefined : parseRestartPolicy(flags.restart) }
      return forEach(cli, refs, async (ref, { containers }) => {
        const { Warnings } = await containers.update(ref, request)
        for (const warning of Warnings ?? []) cli.io.stderr.write(`WARNING: ${warning}\n`)
      })
    })
}
