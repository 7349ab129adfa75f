import type { HostConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'
import { isCdiName } from './cdi-spec.ts'

/** What a container asks of drivers for devices, with what older clients ask for as a device whose path is a CDI name. */
export function withCdiRequests({ Devices, DeviceRequests }: HostConfig): Pick<HostConfig, 'Devices' | 'DeviceRequests'> {
  const names = (Devices ?? []).flatMap(({ PathOnHost = '' }) => (isCdiName(PathOnHost) ? [PathOnHost] : []))
  if (names.length === 0) return {}
  return {
    Devices: (Devices ?? []).filter(({ PathOnHost = '' }) => !names.includes(PathOnHost)),
    DeviceRequests: [...(DeviceRequests ?? []), { Driver: 'cdi', Count: 0, DeviceIDs: names, Capabilities: [], Options: {} }],
  }
}

/**
 * The CDI devices that a container asks for, by qualified name, `vendor.com/class=name`.
 * @throws `invalid-argument`, in Docker's words, for a request that no driver serves
 */
export function requestedDevices({ DeviceRequests }: HostConfig): string[] {
  const names = (DeviceRequests ?? []).flatMap(({ Driver = '', Capabilities, Count, Options, DeviceIDs }) => {
    if (Driver !== 'cdi') throw invalid(`could not select device driver "${Driver}" with capabilities: [${(Capabilities ?? []).map((all) => `[${all.join(' ')}]`).join(' ')}]`)
    if (Count) throw invalid('unexpected count in CDI device request')
    if (Object.keys(Options ?? {}).length > 0) throw invalid('unexpected options in CDI device request')
    for (const name of DeviceIDs ?? []) if (!isCdiName(name)) throw invalid(`invalid CDI device name ${JSON.stringify(name)}`)
    return DeviceIDs ?? []
  })
  return [...new Set(names)]
}

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'DEVICE_REQUEST_INVALID', message)
}
