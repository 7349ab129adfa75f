import { isIP } from 'node:net'
import { BerthError } from '@berth/core'
import type { NetworkDefinition } from '@berth/network-driver'
import { isAddress, isSixCidr, parseCidr } from './addresses.ts'

/** What the options of a network say, defaults filled in. */
export interface BridgeSettings {
  bridge: string
  /** Whether containers of the network reach each other. */
  isIccEnabled: boolean
  isMasqueraded: boolean
  mtu: number | undefined
}

const prefix = 'com.docker.network.'
/** A name that the kernel takes and that needs no quoting in a rule. */
const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/

/** Reads the options, Docker's names of which are listed here. Throws `invalid-argument` for what is not known or cannot be. */
export function bridgeSettings({ id, name, options }: Pick<NetworkDefinition, 'id' | 'name' | 'options'>): BridgeSettings {
  const settings: BridgeSettings = { bridge: `br-${id.slice(0, 12)}`, isIccEnabled: true, isMasqueraded: true, mtu: undefined }
  for (const [option, value] of Object.entries(options)) {
    const invalid = (): BerthError => new BerthError('invalid-argument', 'NETWORK_OPTION_INVALID', `network ${name}: invalid value for ${option}: ${JSON.stringify(value)}`)
    switch (option) {
      case `${prefix}bridge.name`:
        if (!validName.test(value)) throw invalid()
        settings.bridge = value
        break
      case `${prefix}bridge.enable_icc`:
        settings.isIccEnabled = parseBoolean(value, invalid)
        break
      case `${prefix}bridge.enable_ip_masquerade`:
        settings.isMasqueraded = parseBoolean(value, invalid)
        break
      case `${prefix}bridge.host_binding_ipv4`:
        if (isIP(value) !== 4) throw invalid() // who publishes chooses the address, and looks here
        break
      case `${prefix}driver.mtu`: {
        const mtu = Number(value)
        // RFC 791 asks for 68 of everybody; the kernel gives an Ethernet device 65535 at most.
        if (!/^\d+$/.test(value) || (mtu !== 0 && mtu < 68) || mtu > 65535) throw invalid()
        settings.mtu = mtu || undefined
        break
      }
      case `${prefix}bridge.default_bridge`: // says which network is the default one, and changes nothing here
        parseBoolean(value, invalid)
        break
      default:
        throw new BerthError('invalid-argument', 'NETWORK_OPTION_UNKNOWN', `network ${name}: unknown option "${option}" of the driver bridge`)
    }
  }
  return settings
}

/** Throws `invalid-argument` for a network that this driver would not make. */
export function checkNetwork(network: NetworkDefinition): void {
  bridgeSettings(network)
  for (const { cidr, gateway } of network.subnets) {
    parseCidr(cidr)
    if (gateway !== undefined && (!isAddress(gateway) || (isIP(gateway) === 6) !== isSixCidr(cidr))) {
      throw new BerthError('invalid-argument', 'GATEWAY_INVALID', `network ${network.name}: invalid gateway ${gateway} for ${cidr}`)
    }
  }
}

/** As Go's strconv.ParseBool, which Docker reads them with. */
function parseBoolean(value: string, invalid: () => BerthError): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false
  throw invalid()
}
