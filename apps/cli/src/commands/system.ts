import type { SystemInfo } from '@berth/api-types'
import { Command } from 'commander'
import { type Cli, hostOf } from '../cli.ts'
import { humanMemory } from '../output/human.ts'
import { printable } from '../output/table.ts'
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
