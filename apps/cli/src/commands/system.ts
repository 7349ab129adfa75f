import type { SystemDataUsageResponse, SystemInfo } from '@berth/api-types'
import { Command } from 'commander'
import { type Cli, hostOf } from '../cli.ts'
import { humanMemory, humanSize } from '../output/human.ts'
import { formatTable, printable } from '../output/table.ts'
import { fillTemplate } from '../output/template.ts'
import { ownVersion } from '../own-version.ts'

/** Aligned `name: value` lines under a heading; what has no value is left out. */
function section(heading: string, entries: readonly [string, string | undefined][]): string[] {
  const told = entries.filter(([, value]) => value !== undefined)
  const width = Math.max(...told.map(([name]) => name.length)) + 2
  return [`${heading}:`, ...told.map(([name, value]) => ` ${`${name}:`.padEnd(width)}${printable(value ?? '')}`)]
}

export function versionCommand(cli: Cli): Command {
  return new Command('version')
    .description('show the versions of this program and of the engine')
    .option('-f, --format <format>', 'json, or a template: {{.Server.Version}}')
    .action(async ({ format }: { format?: string }) => {
      const client = { Version: ownVersion(), Node: process.version, Os: process.platform, Arch: process.arch }
      if (format === undefined) for (const line of section('Client', [['Version', client.Version], ['Node version', client.Node], ['OS/Arch', `${client.Os}/${client.Arch}`]])) cli.print(line)
      const engine = await cli.engine()
      const server = await engine.system.version()
      if (format !== undefined) {
        const versions = { Client: { ...client, ApiVersion: engine.apiVersion }, Server: server }
        return cli.print(format === 'json' ? JSON.stringify(versions) : fillTemplate(format, versions))
      }
      const entries: [string, string | undefined][] = [
        ['Version', server.Version],
        ['API version', `${server.ApiVersion} (minimum version ${server.MinAPIVersion})`],
        ['Spoken here', engine.apiVersion],
        ['OS/Arch', `${server.Os}/${server.Arch}`],
        ['Kernel', server.KernelVersion],
        ...(server.Components ?? []).filter(({ Name }) => Name !== 'Engine').map(({ Name, Version }): [string, string] => [Name, Version]),
      ]
      cli.print('')
      for (const line of section(`Server: ${server.Platform?.Name ?? 'engine'}`, entries)) cli.print(line)
    })
}

function infoLines(info: SystemInfo): string[] {
  return section('Server', [
    ['Containers', `${info.Containers ?? 0} (${info.ContainersRunning ?? 0} running, ${info.ContainersPaused ?? 0} paused, ${info.ContainersStopped ?? 0} stopped)`],
    ['Images', String(info.Images ?? 0)],
    ['Server Version', info.ServerVersion],
    ['Storage Driver', info.Driver],
    ['Logging Driver', info.LoggingDriver],
    ['Cgroup Driver', info.CgroupDriver],
    ['Cgroup Version', info.CgroupVersion],
    ['Runtimes', info.Runtimes && Object.keys(info.Runtimes).join(' ')],
    ['Default Runtime', info.DefaultRuntime],
    ['Security Options', info.SecurityOptions?.join(' ')],
    ['Kernel Version', info.KernelVersion],
    ['Operating System', info.OperatingSystem],
    ['Architecture', info.Architecture],
    ['CPUs', String(info.NCPU ?? 0)],
    ['Total Memory', humanMemory(info.MemTotal ?? 0)],
    ['Name', info.Name],
    ['ID', info.ID],
    ['Root Dir', info.DockerRootDir],
    ['Insecure Registries', info.RegistryConfig?.InsecureRegistryCIDRs?.join(' ')],
    ['Live Restore Enabled', info.LiveRestoreEnabled === undefined ? undefined : String(info.LiveRestoreEnabled)],
  ])
}

export function infoCommand(cli: Cli): Command {
  return new Command('info')
    .description('show what the engine is and has')
    .option('-f, --format <format>', 'json, or a template: {{.Driver}}')
    .action(async ({ format }: { format?: string }) => {
      const info = await (await cli.engine()).system.info()
      if (format !== undefined) return cli.print(format === 'json' ? JSON.stringify(info) : fillTemplate(format, info))
      for (const line of infoLines(info)) cli.print(line)
      for (const warning of info.Warnings ?? []) cli.io.stderr.write(`${warning}\n`)
    })
}

function usageRows({ LayersSize = 0, Images = [], Containers = [], Volumes = [] }: SystemDataUsageResponse): string[][] {
  const sum = (sizes: number[]): number => sizes.filter((size) => size > 0).reduce((total, size) => total + size, 0)
  const row = (type: string, count: number, active: number, size: number): string[] => [type, String(count), String(active), humanSize(size)]
  return [
    row('Images', Images.length, Images.filter((image) => image.Containers > 0).length, LayersSize || sum(Images.map(({ Size }) => Size))),
    row('Containers', Containers.length, Containers.filter(({ State }) => State === 'running').length, sum(Containers.map(({ SizeRw }) => SizeRw ?? 0))),
    row('Local Volumes', Volumes.length, Volumes.filter(({ UsageData }) => (UsageData?.RefCount ?? 0) > 0).length, sum(Volumes.map(({ UsageData }) => UsageData?.Size ?? 0))),
  ]
}

export function diskUsageCommand(cli: Cli): Command {
  return new Command('df').description('show what the engine keeps on disk').action(async () => {
    const usage = await (await cli.engine()).system.diskUsage()
    for (const line of formatTable(['TYPE', 'TOTAL', 'ACTIVE', 'SIZE'], usageRows(usage))) cli.print(line)
  })
}

/** The far end of `ssh://`: joins standard input and output to the engine's socket. */
export function dialStdioCommand(cli: Cli): Command {
  return new Command('dial-stdio').description('carry the API on standard input and output (what ssh:// runs)').action(async () => {
    const [{ connect }, { parseHost }, { pipeline }, { Readable }] = await Promise.all([import('node:net'), import('@berth/api-client'), import('node:stream/promises'), import('node:stream')])
    const address = parseHost(hostOf(cli))
    if (address.kind === 'ssh') throw new Error('dial-stdio goes to a unix socket or a TCP address')
    const socket = connect(address.kind === 'unix' ? { path: address.path, allowHalfOpen: true } : { host: address.host, port: address.port ?? 2375, allowHalfOpen: true })
    void pipeline(Readable.from(cli.io.stdin, { objectMode: false }), socket).catch(() => {})
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      if (!cli.io.stdout.write(chunk)) await new Promise<void>((resolve) => void cli.io.stdout.once('drain', resolve))
    }
    socket.destroy()
  })
}
