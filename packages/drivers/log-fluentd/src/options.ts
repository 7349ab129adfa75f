import { checkOptions, invalidOption, parseFlag, parseSize } from '@berth/log-driver'
import type { StreamAddress } from '@berth/log-driver/shipping'

export interface FluentdOptions {
  address: StreamAddress
  /** A container starts whether or not its peer is there. */
  isAsync: boolean
  /** Milliseconds after which a connection is made anew; 0 for never. */
  reconnectInterval: number
  /** Milliseconds of the first wait after a failure, and how many failures it takes to give up. */
  retryWait: number
  maxRetries: number
  requestAck: boolean
  subSecondPrecision: boolean
  /** Milliseconds; 0 for without end. */
  writeTimeout: number
  readTimeout: number
}

type Options = Readonly<Record<string, string>>

const names = [
  'fluentd-address', 'fluentd-async', 'fluentd-async-connect', 'fluentd-async-reconnect-interval', 'fluentd-buffer-limit', 'fluentd-max-retries', 'fluentd-request-ack',
  'fluentd-retry-wait', 'fluentd-sub-second-precision', 'fluentd-read-timeout', 'fluentd-write-timeout',
] // prettier-ignore
const [defaultHost, defaultPort] = ['127.0.0.1', 24224]
const [shortestInterval, longestInterval] = [100, 10_000]
const maxInt32 = 2 ** 31 - 1

/** Reads Docker's options of the fluentd driver. Throws `invalid-argument`. @see https://docs.docker.com/engine/logging/drivers/fluentd/ */
export function parseOptions(options: Options): FluentdOptions {
  checkOptions('fluentd', options, names)
  if (options['fluentd-async'] && options['fluentd-async-connect']) throw invalidOption(`conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect'`)
  const flag = (name: string): boolean => (options[name] ? parseFlag(name, options[name]) : false)
  const duration = (name: string, byDefault: number): number => (options[name] ? parseDuration(name, options[name]) : byDefault)
  if (options['fluentd-buffer-limit']) parseSize('fluentd-buffer-limit', options['fluentd-buffer-limit'], 1024)
  const retries = options['fluentd-max-retries'] || String(maxInt32)
  if (!/^\d+$/.test(retries)) throw invalidOption(`invalid fluentd-max-retries ${JSON.stringify(retries)}: must be a whole number`)
  const reconnectInterval = duration('fluentd-async-reconnect-interval', 0)
  if (reconnectInterval !== 0 && (reconnectInterval < shortestInterval || reconnectInterval > longestInterval)) {
    throw invalidOption(`invalid value for fluentd-async-reconnect-interval: value (${options['fluentd-async-reconnect-interval']}) must be between 100ms and 10s`)
  }
  return {
    address: parseAddress(options['fluentd-address'] ?? ''),
    isAsync: flag('fluentd-async') || flag('fluentd-async-connect'),
    reconnectInterval,
    retryWait: duration('fluentd-retry-wait', 1000),
    maxRetries: Number(retries),
    requestAck: flag('fluentd-request-ack'),
    subSecondPrecision: flag('fluentd-sub-second-precision'),
    writeTimeout: duration('fluentd-write-timeout', 0),
    readTimeout: duration('fluentd-read-timeout', 0),
  }
}

function parseAddress(text: string): StreamAddress {
  if (text === '') return { host: defaultHost, port: defaultPort }
  const invalid = (why: string) => invalidOption(`invalid fluentd-address (${text}): ${why}`)
  const url = URL.parse(text.includes('://') ? text : `tcp://${text}`)
  if (!url) throw invalid('it is no URL')
  const protocol = url.protocol.slice(0, -1)
  if (protocol === 'unix') {
    const path = decodeURIComponent(`${url.host ? `/${url.host}` : ''}${url.pathname}`)
    if (path.replace(/^\/+/, '') === '') throw invalid('path is empty')
    return { path }
  }
  if (protocol !== 'tcp' && protocol !== 'tls') throw invalid(`unsupported scheme: '${protocol}'`)
  if (url.pathname !== '' && url.pathname !== '/') throw invalid('should not contain a path element')
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1') || defaultHost
  return { host, port: Number(url.port || defaultPort), ...(protocol === 'tls' && { tls: { minVersion: 'TLSv1.2', ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }) } }) }
}

const units: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** A duration as Go writes it (`1m30s`, `500ms`), in milliseconds. */
function parseDuration(name: string, text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/gy)]
  if (text !== '0' && (parts.length === 0 || parts.map(([part]) => part).join('') !== text)) throw invalidOption(`invalid ${name} ${JSON.stringify(text)}: it is a duration, as in 500ms or 1m30s`)
  return parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (units[unit] ?? 0), 0)
}
