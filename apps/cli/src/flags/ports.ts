import type { PortMap } from '@berth/api-types'
import { usageError } from '../cli.ts'

interface Range {
  first: number
  last: number
}

const form = /^(?:(?:(\[[0-9a-f:.]+\]|[\d.]+):)?(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:\/(tcp|udp|sctp))?$/i

/** Ports to publish, from `[[address:][host port]:]port[/protocol]`, where a port may be a range. Throws `invalid-argument`. */
export function parsePublished(specs: readonly string[]): { exposed: Record<string, object>; bindings: PortMap } {
  const exposed: Record<string, object> = {}
  const bindings: PortMap = {}
  for (const spec of specs) {
    const [, address = '', host, container, protocol = 'tcp'] = form.exec(spec) ?? []
    if (container === undefined) throw usageError(`invalid publish format '${spec}': it is [[address:][host port]:]port[/protocol]`)
    const inside = range(container, spec)
    const outside = host === undefined ? undefined : range(host, spec)
    const count = inside.last - inside.first
    if (outside && count > 0 && outside.last - outside.first !== count) throw usageError(`invalid ranges specified for container and host ports: ${container} and ${host}`)
    for (let offset = 0; offset <= count; offset++) {
      const port = `${inside.first + offset}/${protocol.toLowerCase()}`
      // One port on a range of the host's: any of them.
      const chosen = outside === undefined ? '' : count === 0 && outside.last > outside.first ? `${outside.first}-${outside.last}` : String(outside.first + offset)
      exposed[port] = {}
      bindings[port] = [...(bindings[port] ?? []), { HostIp: address.replace(/^\[|\]$/g, ''), HostPort: chosen }]
    }
  }
  return { exposed, bindings }
}

function range(text: string, spec: string): Range {
  const [first = 0, last = first] = text.split('-').map(Number)
  if (first < 0 || last > 65535 || last < first) throw usageError(`invalid publish format '${spec}': ${text} is no port`)
  return { first, last }
}
