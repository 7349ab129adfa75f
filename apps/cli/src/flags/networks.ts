import type { EndpointSettings } from '@berth/api-types'
import { usageError } from '../cli.ts'
import type { CreateFlags } from './create-flags.ts'

interface Wanted {
  name: string
  settings: EndpointSettings
}

/** `name=web,alias=app,ip=10.0.0.2`, or only a name. Throws `invalid-argument`. */
function parseNetwork(text: string): Wanted {
  if (!/^\s*[\w-]+=/.test(text)) return { name: text, settings: {} }
  const settings: EndpointSettings = {}
  let name = ''
  for (const field of text.split(',')) {
    const [key = '', value = ''] = field.trim().split(/=(.*)/s)
    switch (key.toLowerCase()) {
      case 'name':
        name = value
        break
      case 'alias':
        settings.Aliases = [...(settings.Aliases ?? []), value]
        break
      case 'ip':
        settings.IPAMConfig = { ...settings.IPAMConfig, IPv4Address: value }
        break
      case 'ip6':
        settings.IPAMConfig = { ...settings.IPAMConfig, IPv6Address: value }
        break
      case 'link-local-ip':
        settings.IPAMConfig = { ...settings.IPAMConfig, LinkLocalIPs: [...(settings.IPAMConfig?.LinkLocalIPs ?? []), value] }
        break
      case 'mac-address':
        settings.MacAddress = value
        break
      case 'driver-opt': {
        const [option = '', set] = value.split(/=(.*)/s)
        if (set === undefined) throw usageError(`invalid key value pair format in driver options: ${value}`)
        settings.DriverOpts = { ...settings.DriverOpts, [option]: set }
        break
      }
      case 'gw-priority':
        if (!/^-?\d{1,9}$/.test(value)) throw usageError(`invalid gw-priority: ${value}`)
        settings.GwPriority = Number(value)
        break
      default:
        throw usageError(`invalid field key ${key}`)
    }
  }
  if (name === '') throw usageError(`invalid network '${text}': name is required`)
  return { name, settings }
}

const isUsers = (name: string): boolean => !['default', 'bridge', 'host', 'none'].includes(name) && !name.startsWith('container:')

/** The flags of one network, `--ip` and the like, are those of the first. Throws `invalid-argument`. */
export function parseNetworks({ network = [], networkAlias, ip, ip6, linkLocalIp, link, macAddress }: CreateFlags): { mode: string | undefined; endpoints: Record<string, EndpointSettings> | undefined } {
  const wanted = network.map(parseNetwork)
  const address = ip !== undefined || ip6 !== undefined || linkLocalIp ? { IPAMConfig: { IPv4Address: ip, IPv6Address: ip6, LinkLocalIPs: linkLocalIp } } : {}
  const own: EndpointSettings = { ...(networkAlias && { Aliases: networkAlias }), ...address, ...(macAddress !== undefined && { MacAddress: macAddress }) }
  const first = wanted[0] ?? { name: 'default', settings: {} }
  for (const key of Object.keys(own)) if (key in first.settings) throw usageError('conflicting options: cannot specify both --network-alias, --ip and the like, and the same per network')
  const settings = { ...first.settings, ...own, ...(link && isUsers(first.name) && { Links: link }) }
  const saysMore = Object.keys(settings).length > 0 || wanted.length > 1
  return {
    mode: wanted[0]?.name,
    endpoints: saysMore ? { [first.name]: settings, ...Object.fromEntries(wanted.slice(1).map(({ name, settings: further }) => [name, further])) } : undefined,
  }
}
