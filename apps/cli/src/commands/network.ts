import type { IPAMConfig, Network } from '@berth/api-types'
import { Command } from 'commander'
import { type Cli, collect, forEach, usageError } from '../cli.ts'
import { parsePairs } from '../flags/environment.ts'
import { parseFilters } from '../flags/filters.ts'
import { shortId } from '../output/human.ts'
import { type Column, type ListFlags, printList } from '../output/table.ts'
import { inspectCommand } from './inspect.ts'
import { pruneNetworksCommand } from './prune.ts'

interface CreateNetworkFlags {
  driver?: string
  subnet?: string[]
  gateway?: string[]
  ipRange?: string[]
  internal?: boolean
  attachable?: boolean
  ipv6?: boolean
  opt?: string[]
  label?: string[]
}

/** Subnets with the gateway and the range that stand at the same place. */
function ipamConfig({ subnet = [], gateway = [], ipRange = [] }: CreateNetworkFlags): IPAMConfig[] {
  if (gateway.length > subnet.length || ipRange.length > subnet.length) throw usageError('every gateway or ip-range must have a corresponding subnet')
  return subnet.map((Subnet, index) => ({ Subnet, ...(gateway[index] ? { Gateway: gateway[index] } : {}), ...(ipRange[index] ? { IPRange: ipRange[index] } : {}) }))
}

function listCommand(cli: Cli): Command {
  return new Command('ls')
    .alias('list')
    .description('list networks')
    .option('-q, --quiet', 'IDs only')
    .option('--no-trunc', 'everything in full')
    .option('-f, --filter <key=value>', 'only those: name, driver, label, …', collect)
    .option('--format <format>', 'json, or a template: {{.Name}}')
    .action(async (flags: ListFlags & { trunc?: boolean; filter?: string[] }) => {
      const list = await (await cli.engine()).networks.list({ filters: parseFilters(flags.filter) })
      const idOf = ({ Id = '' }: Network): string => (flags.trunc === false ? Id : shortId(Id))
      const columns: Column<Network>[] = [
        { heading: 'NETWORK ID', field: 'ID', cell: idOf },
        { heading: 'NAME', field: 'Name', cell: ({ Name = '' }) => Name },
        { heading: 'DRIVER', field: 'Driver', cell: ({ Driver = '' }) => Driver },
        { heading: 'SCOPE', field: 'Scope', cell: ({ Scope = '' }) => Scope },
      ]
      printList(cli, list.toSorted((a, b) => (a.Name ?? '').localeCompare(b.Name ?? '')), columns, { ...flags, id: idOf })
    })
}

function createNetworkCommand(cli: Cli): Command {
  return new Command('create')
    .description('create a network')
    .argument('<name>')
    .option('-d, --driver <driver>', 'driver (bridge)')
    .option('--subnet <cidr>', 'subnet', collect)
    .option('--gateway <address>', 'gateway of the subnet', collect)
    .option('--ip-range <cidr>', 'part of the subnet that addresses are taken from', collect)
    .option('--internal', 'without a way out')
    .option('--attachable', 'may be joined by hand')
    .option('--ipv6', 'with IPv6')
    .option('-o, --opt <key=value>', 'option of the driver', collect)
    .option('--label <key=value>', 'label', collect)
    .action(async (name: string, flags: CreateNetworkFlags) => {
      const config = ipamConfig(flags)
      const { Id, Warning } = await (await cli.engine()).networks.create({
        Name: name,
        Driver: flags.driver ?? 'bridge',
        IPAM: config.length > 0 ? { Driver: 'default', Config: config } : undefined,
        Internal: flags.internal,
        Attachable: flags.attachable,
        EnableIPv6: flags.ipv6,
        Options: parsePairs(flags.opt ?? []),
        Labels: parsePairs(flags.label ?? []),
      })
      if (Warning) cli.io.stderr.write(`WARNING: ${Warning}\n`)
      cli.print(Id)
    })
}

function connectCommand(cli: Cli): Command {
  return new Command('connect')
    .description('join a container to a network')
    .argument('<network>')
    .argument('<container>')
    .option('--alias <name>', 'further name on the network', collect)
    .option('--ip <address>', 'IPv4 address')
    .option('--ip6 <address>', 'IPv6 address')
    .action(async (network: string, container: string, { alias, ip, ip6 }: { alias?: string[]; ip?: string; ip6?: string }) => {
      const addresses = { ...(ip ? { IPv4Address: ip } : {}), ...(ip6 ? { IPv6Address: ip6 } : {}) }
      await (await cli.engine()).networks.connect(network, { Container: container, EndpointConfig: { Aliases: alias, IPAMConfig: ip || ip6 ? addresses : undefined } })
    })
}

function disconnectCommand(cli: Cli): Command {
  return new Command('disconnect')
    .description('take a container off a network')
    .argument('<network>')
    .argument('<container>')
    .option('-f, --force', 'also what is gone')
    .action(async (network: string, container: string, { force }: { force?: boolean }) => {
      await (await cli.engine()).networks.disconnect(network, { Container: container, Force: force })
    })
}

function removeNetworksCommand(cli: Cli): Command {
  return new Command('rm')
    .alias('remove')
    .description('remove networks')
    .argument('<networks...>')
    .action((refs: string[]) => forEach(cli, refs, (ref, { networks }) => networks.remove(ref)))
}

export function networkCommand(cli: Cli): Command {
  const network = new Command('network').description('networks')
  for (const make of [listCommand, createNetworkCommand, connectCommand, disconnectCommand, inspectCommand, removeNetworksCommand, pruneNetworksCommand]) network.addCommand(make(cli))
  return network
}
