import { readFileSync, statSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { messageOf } from '@berth/core'
import { checkOptions, invalidOption } from '@berth/log-driver'

type SyslogFormat = '' | 'rfc3164' | 'rfc5424' | 'rfc5424micro'

export type SyslogAddress = { protocol: 'unix' | 'unixgram'; path: string } | { protocol: 'udp' | 'tcp' | 'tcp+tls'; host: string; port: number }

export interface SyslogOptions {
  /** Undefined: the machine's own socket, `/dev/log`. */
  address: SyslogAddress | undefined
  /** Its number times eight, as it stands in a priority. */
  facility: number
  format: SyslogFormat
  tls: { ca: string | undefined; cert: string | undefined; key: string | undefined; skipVerify: boolean }
}

type Options = Readonly<Record<string, string>>

const facilities: Readonly<Record<string, number>> = {
  kern: 0, user: 1, mail: 2, daemon: 3, auth: 4, syslog: 5, lpr: 6, news: 7, uucp: 8, cron: 9, authpriv: 10, ftp: 11, local0: 16, local1: 17, local2: 18, local3: 19, local4: 20, local5: 21, local6: 22, local7: 23,
} // prettier-ignore
const defaultPort = 514

/** Reads Docker's options of the syslog driver. Throws `invalid-argument` with Docker's texts. @see https://docs.docker.com/engine/logging/drivers/syslog/ */
export function parseOptions(options: Options): SyslogOptions {
  const { 'syslog-address': address = '', 'syslog-facility': facility = '', 'syslog-format': format = '' } = options
  checkOptions('syslog', options, ['syslog-address', 'syslog-facility', 'syslog-format', 'syslog-tls-ca-cert', 'syslog-tls-cert', 'syslog-tls-key', 'syslog-tls-skip-verify'])
  if (!isFormat(format)) throw invalidOption('Invalid syslog format')
  return {
    address: parseAddress(address),
    facility: parseFacility(facility),
    format,
    tls: {
      ca: options['syslog-tls-ca-cert'],
      cert: options['syslog-tls-cert'],
      key: options['syslog-tls-key'],
      skipVerify: (options['syslog-tls-skip-verify'] ?? 'false') !== 'false',
    },
  }
}

/** Throws `invalid-argument` when the receiver's socket is not there: for new containers. Those that exist wait for it. */
export function checkSocket({ address }: SyslogOptions): void {
  if (address && 'path' in address && !statSync(address.path, { throwIfNoEntry: false })) throw invalidOption(`stat ${address.path}: no such file or directory`)
}

function isFormat(text: string): text is SyslogFormat {
  return ['', 'rfc3164', 'rfc5424', 'rfc5424micro'].includes(text)
}

function parseAddress(text: string): SyslogAddress | undefined {
  if (text === '') return undefined
  const url = URL.parse(text)
  const protocol = /^([a-z+]+):/i.exec(text)?.[1]?.toLowerCase() ?? ''
  if (protocol === 'unix' || protocol === 'unixgram') {
    return { protocol, path: decodeURIComponent(url?.pathname ?? '') }
  }
  if (protocol !== 'udp' && protocol !== 'tcp' && protocol !== 'tcp+tls') throw invalidOption(`unsupported scheme: '${protocol}'`)
  if (!url?.hostname) throw invalidOption(`invalid syslog-address ${JSON.stringify(text)}: it names no host`)
  return { protocol, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port || defaultPort) }
}

function parseFacility(text: string): number {
  const name = text || 'daemon'
  const number = Object.hasOwn(facilities, name) ? facilities[name]! : /^\d{1,2}$/.test(name) ? Number(name) : Infinity
  if (number > 23) throw invalidOption('invalid syslog facility')
  return number * 8
}

/** What a TLS connection is made with. Throws `invalid-argument` for a file that cannot be read. */
export function tlsOptions({ tls, address }: SyslogOptions): ConnectionOptions | undefined {
  if (address?.protocol !== 'tcp+tls') return undefined
  const read = (path: string | undefined, what: string): Buffer | undefined => {
    if (!path) return undefined
    try {
      return readFileSync(path)
    } catch (error) {
      throw invalidOption(`could not read ${what} ${JSON.stringify(path)}: ${messageOf(error)}`)
    }
  }
  const [ca, cert, key] = [read(tls.ca, 'CA certificate'), read(tls.cert, 'X509 certificate'), read(tls.key, 'X509 key')]
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), rejectUnauthorized: !tls.skipVerify, minVersion: 'TLSv1.2' }
}
