import type { DeviceMapping, DeviceRequest } from '@berth/api-types'
import { usageError } from '../cli.ts'
import { parseSize } from './sizes.ts'

/** A name of the Container Device Interface: vendor, class and name. @see https://github.com/cncf-tags/container-device-interface */
const cdiName = /^[A-Za-z][\w.-]*\/[A-Za-z][\w-]*=[A-Za-z0-9][\w.:-]*$/

/** `--device`: files of devices, and names of the Container Device Interface. Throws `invalid-argument`. */
export function parseDevices(texts: readonly string[]): { devices: DeviceMapping[]; requests: DeviceRequest[] } {
  const named = texts.filter((text) => cdiName.test(text))
  return { devices: texts.filter((text) => !named.includes(text)).map(parseDevice), requests: named.length > 0 ? [{ Driver: 'cdi', DeviceIDs: named }] : [] }
}

function parseDevice(text: string): DeviceMapping {
  const [source = '', second, third, ...more] = text.split(':')
  const isMode = second !== undefined && third === undefined && /^[rwm]{1,3}$/.test(second)
  const mode = (isMode ? second : third) ?? 'rwm'
  if (source === '' || more.length > 0 || !/^[rwm]{1,3}$/.test(mode)) throw usageError(`invalid device specification: ${text}`)
  if (!source.startsWith('/')) throw usageError(`${source} is not an absolute path`)
  return { PathOnHost: source, PathInContainer: isMode || second === undefined ? source : second, CgroupPermissions: mode }
}

/** `c 10:200 rwm`. Throws `invalid-argument`. */
export function parseDeviceRule(text: string): string {
  if (!/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(text)) throw usageError(`invalid device cgroup format '${text}'`)
  return text
}

/** `/dev/sda:1m`, or a plain number where it counts operations. Throws `invalid-argument`. */
export function parseDeviceRate(text: string, unit: 'bytes' | 'operations'): { Path: string; Rate: number } {
  const [, Path, rate] = /^(\/dev\/[^:]+):(.+)$/.exec(text) ?? []
  const isRate = rate !== undefined && (unit === 'bytes' || /^\d{1,15}$/.test(rate))
  if (Path === undefined || !isRate) throw usageError(`bad format: ${text}: it is /dev/name:${unit === 'bytes' ? 'size' : 'number'}`)
  return { Path, Rate: unit === 'bytes' ? parseSize(rate) : Number(rate) }
}

/** `/dev/sda:500`. Throws `invalid-argument`. */
export function parseDeviceWeight(text: string): { Path: string; Weight: number } {
  const { Path, Rate: Weight } = parseDeviceRate(text, 'operations')
  if (Weight !== 0 && (Weight < 10 || Weight > 1000)) throw usageError(`invalid weight for device: ${text}`)
  return { Path, Weight }
}

/** `--gpus`: `all`, a number, or `device=0,capabilities=compute`. Quotes keep commas together: `"device=0,1"`. Throws `invalid-argument`. */
export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = { Driver: '', Count: 0, Capabilities: [['gpu']] }
  for (const field of text.match(/"[^"]*"|[^,]+/g) ?? []) {
    const [key = '', value] = field.replace(/^"(.*)"$/, '$1').split(/=(.*)/s)
    if (value === undefined || key === 'count') request.Count = gpuCount(value ?? key)
    else if (key === 'driver') request.Driver = value
    else if (key === 'device') request.DeviceIDs = value.split(',')
    else if (key === 'capabilities') request.Capabilities = [[...new Set([...value.split(','), 'gpu'])]]
    else if (key === 'options') request.Options = Object.fromEntries(value.split(',').map((option) => option.split(/=(.*)/s)).map(([name = '', setting = '']) => [name, setting]))
    else throw usageError(`unexpected key '${key}' in '${field}'`)
  }
  if (request.Count === 0 && !request.DeviceIDs) request.Count = 1
  if (request.Count !== 0 && request.DeviceIDs) throw usageError('cannot set both Count and DeviceIDs on device request')
  return request
}

function gpuCount(text: string): number {
  if (text === 'all') return -1
  if (!/^\d{1,4}$/.test(text)) throw usageError(`count must be an integer: ${text}`)
  return Number(text)
}
