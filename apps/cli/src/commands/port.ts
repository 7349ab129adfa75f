import { BerthError } from '@berth/core'
import { Command } from 'commander'
import type { Cli } from '../cli.ts'

export function portCommand(cli: Cli): Command {
  return new Command('port')
    .description('list the published ports of a container')
    .argument('<container>')
    .argument('[port]', 'one port: 80, 53/udp')
    .action(async (container: string, port?: string) => {
      const { containers } = await cli.engine()
      const ports = (await containers.inspect(container)).NetworkSettings?.Ports ?? {}
      const wanted = port === undefined || port.includes('/') ? port : `${port}/tcp`
      const bindings = Object.entries(ports).flatMap(([name, list]) => (wanted === undefined || wanted === name ? (list ?? []).map((binding) => ({ name, ...binding })) : []))
      if (wanted !== undefined && bindings.length === 0) throw new BerthError('not-found', 'PORT_NOT_PUBLISHED', `no public port '${port}' published for ${container}`)
      for (const { name, HostIp = '', HostPort = '' } of bindings) {
        const address = `${HostIp.includes(':') ? `[${HostIp}]` : HostIp}:${HostPort}`
        cli.print(wanted === undefined ? `${name} -> ${address}` : address)
      }
    })
}
