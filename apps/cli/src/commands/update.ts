import { Command } from 'commander'
import { type Cli, forEach } from '../cli.ts'
import { integer, number } from '../flags/create-flags.ts'
import { parseRestartPolicy } from '../flags/create-request.ts'
import { parseSize } from '../flags/sizes.ts'

interface UpdateFlags {
  memory?: string
  memorySwap?: string
  cpus?: number
  cpuShares?: number
  cpusetCpus?: string
  pidsLimit?: number
  restart?: string
}

const limit = (text: string | undefined): number | undefined => (text === undefined ? undefined : text === '-1' ? -1 : parseSize(text))

export function updateCommand(cli: Cli): Command {
  return new Command('update')
    .description('change the limits of containers')
    .argument('<containers...>')
    .option('-m, --memory <bytes>', 'limit of memory')
    .option('--memory-swap <bytes>', 'limit of memory and swap together; -1 for no limit')
    .option('--cpus <number>', 'limit of CPUs', number)
    .option('-c, --cpu-shares <number>', 'weight among other containers', integer)
    .option('--cpuset-cpus <list>', 'CPUs they may use')
    .option('--pids-limit <number>', 'limit of processes; -1 for no limit', integer)
    .option('--restart <policy>', 'no, always, unless-stopped, on-failure[:times]')
    .action((refs: string[], flags: UpdateFlags) =>
      forEach(cli, refs, async (ref, { containers }) => {
        const { Warnings } = await containers.update(ref, {
          Memory: limit(flags.memory),
          MemorySwap: limit(flags.memorySwap),
          NanoCpus: flags.cpus === undefined ? undefined : Math.round(flags.cpus * 1e9),
          CpuShares: flags.cpuShares,
          CpusetCpus: flags.cpusetCpus,
          PidsLimit: flags.pidsLimit,
          RestartPolicy: flags.restart === undefined ? undefined : parseRestartPolicy(flags.restart),
        })
        for (const warning of Warnings ?? []) cli.io.stderr.write(`WARNING: ${warning}\n`)
      }),
    )
}
