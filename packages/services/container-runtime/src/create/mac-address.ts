import type { ContainerCreateRequest, EndpointSettings } from '@berth/api-types'
import { invalid } from './validate-config.ts'

/** The version of the API in which the address became one of an endpoint. */
const endpointsSince = 44

/** What a request says of addresses of network interfaces, made one thing. */
interface MacAddresses {
  /** For the interface in the main network; absent when it is up to the network. */
  main: string | undefined
  endpoints: Record<string, EndpointSettings>
  warnings: string[]
}

/**
 * The container-wide address of older clients goes to the main network's endpoint; such clients do not mean addresses of endpoints.
 * @param version The minor number of the API version that the client speaks
 * @throws `invalid-argument` for two different addresses, or none that is one
 */
export function macAddressesOf({ MacAddress: wide, NetworkingConfig }: ContainerCreateRequest & { MacAddress?: string | null }, networkMode: string, version: number): MacAddresses {
  const endpoints = { ...NetworkingConfig?.EndpointsConfig } as Record<string, EndpointSettings>
  if (wide && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(wide)) throw invalid(`invalid MAC address: ${wide}`)
  if (version < endpointsSince) {
    const without = Object.entries(endpoints).map(([name, settings]): [string, EndpointSettings] => [name, { ...settings, MacAddress: '' }])
    return { main: wide || undefined, endpoints: Object.fromEntries(without), warnings: [] }
  }
  const own = (endpoints[networkMode] ?? (networkMode === 'bridge' ? endpoints['default'] : undefined))?.MacAddress
  if (wide && own && wide.toLowerCase() !== own.toLowerCase()) {
    throw invalid('the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty')
  }
  const deprecated = 'The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.'
  return { main: wide || undefined, endpoints, warnings: wide ? [deprecated] : [] }
}
