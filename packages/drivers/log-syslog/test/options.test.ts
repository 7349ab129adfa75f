import { localLogDriver } from '@berth/log-local'
import { describe, expect, it } from 'vitest'
import { syslogLogDriver } from '../src/index.ts'

describe('options of the syslog driver', () => {
  const driver = syslogLogDriver({ cache: localLogDriver() })
  it.each<[Record<string, string>, string]>([
    [{ 'syslog-address': 'unix:///nowhere/log' }, 'stat /nowhere/log: no such file or directory'],
    [{ 'syslog-address': 'http://127.0.0.1' }, "unsupported scheme: 'http'"],
    [{ 'syslog-address': 'tcp://' }, 'it names no host'],
    [{ 'syslog-facility': 'local8' }, 'invalid syslog facility'],
    [{ 'syslog-facility': '24' }, 'invalid syslog facility'],
    [{ 'syslog-facility': 'constructor' }, 'invalid syslog facility'],
    [{ 'syslog-format': 'json' }, 'Invalid syslog format'],
    [{ 'syslog-colour': 'red' }, "unknown log opt 'syslog-colour' for syslog log driver"],
    [{ tag: '{{.Nothing}}' }, 'invalid tag'],
  ])('%j is refused', (options, message) => expect(() => driver.validate(options)).toThrow(message))

  it.each<Record<string, string>>([
    {},
    { 'syslog-address': 'udp://[::1]', 'syslog-facility': '23' },
    { 'syslog-address': 'tcp://log.example:1514', 'syslog-facility': 'authpriv', 'syslog-format': 'rfc5424micro', labels: 'a', mode: 'non-blocking', 'max-buffer-size': '4m', 'cache-max-size': '10m' },
    { 'syslog-address': 'tcp+tls://log.example', 'syslog-tls-ca-cert': '/ca', 'syslog-tls-cert': '/cert', 'syslog-tls-key': '/key', 'syslog-tls-skip-verify': 'true' },
  ])('%j are taken', (options) => expect(() => driver.validate(options)).not.toThrow())
})
