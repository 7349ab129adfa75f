import { BerthError, messageOf } from '@berth/core'
import { parse } from 'smol-toml'
import type { Capability, RegistryHost } from './registry-hosts.ts'

/** A host as `hosts.toml` has it: certificates are names of files still. */
export interface HostEntry extends Omit<RegistryHost, 'ca' | 'client' | 'url'> {
  /** Undefined for the registry at its usual place. */
  url: string | undefined
  caFiles: string[]
  /** Certificate and key; one file may hold both. */
  clientFiles: { cert: string; key: string }[]
}

export interface HostsToml {
  server: HostEntry
  /** In the order of the file. */
  hosts: HostEntry[]
}

const capabilities: readonly Capability[] = ['pull', 'resolve', 'push']

/**
 * Reads `certs.d/<host>/hosts.toml`.
 * @throws `invalid-argument` for what it is not; containerd goes on as if there were no file, but then images would come from where the file says they must not.
 * @see containerd, docs/hosts.md
 */
export function parseHostsToml(text: string): HostsToml {
  const table = readTable(text)
  const hosts = table['host'] ?? {}
  if (!isTable(hosts)) throw malformed('host must be a table')
  return { server: entryOf(table, optionalText(table['server'], 'server')), hosts: Object.entries(hosts).map(([url, host]) => entryOf(isTable(host) ? host : {}, url)) }
}

function readTable(text: string): Record<string, unknown> {
  try {
    return parse(text)
  } catch (error) {
    // The first line says what; those below it quote the file, which may hold a secret header.
    throw malformed(messageOf(error).split('\n')[0] ?? '')
  }
}

function entryOf(table: Record<string, unknown>, url: string | undefined): HostEntry {
  return {
    url: url === undefined || /^https?:\/\//.test(url) ? url : `https://${url}`,
    capabilities: capabilitiesOf(table['capabilities']),
    caFiles: texts(table['ca'], 'ca'),
    clientFiles: clientFiles(table['client']),
    skipVerify: optionalBoolean(table['skip_verify'], 'skip_verify'),
    headers: headersOf(table['header']),
    overridePath: optionalBoolean(table['override_path'], 'override_path'),
    dialTimeout: duration(optionalText(table['dial_timeout'], 'dial_timeout')),
  }
}

function capabilitiesOf(value: unknown): Capability[] | undefined {
  const names = texts(value, 'capabilities').map((name) => name.toLowerCase())
  const unknown = names.find((name) => !capabilities.includes(name as Capability))
  if (unknown !== undefined) throw malformed(`unknown capability ${unknown.slice(0, 40)}`)
  return names.length === 0 ? undefined : (names as Capability[])
}

/** One file, several files, or pairs of certificate and key. */
function clientFiles(value: unknown): { cert: string; key: string }[] {
  if (!Array.isArray(value)) return texts(value, 'client').map((file) => ({ cert: file, key: file }))
  return value.map((each: unknown) => {
    const [cert, key, surplus] = Array.isArray(each) ? texts(each, 'client') : [optionalText(each, 'client')]
    if (cert === undefined || (Array.isArray(each) && key === undefined) || surplus !== undefined) throw malformed('client must be files, or pairs of a certificate and a key')
    return { cert, key: key ?? cert }
  })
}

function headersOf(value: unknown): Record<string, string> {
  if (value === undefined) return {}
  if (!isTable(value)) throw malformed('header must be a table')
  return Object.fromEntries(Object.entries(value).map(([name, content]) => [name, texts(content, 'header').join(', ')]))
}

/** Milliseconds of a duration as Go writes it: `1m30s`, `500ms`. */
function duration(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const units: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) throw malformed('dial_timeout must be a duration such as 3s')
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0), 0)
}

function texts(value: unknown, field: string): string[] {
  if (value === undefined) return []
  const list: unknown[] = Array.isArray(value) ? value : [value]
  if (!list.every((entry) => typeof entry === 'string')) throw malformed(`${field} must be a text, or a list of texts`)
  return list
}

function optionalText(value: unknown, field: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw malformed(`${field} must be a text`)
}

function optionalBoolean(value: unknown, field: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw malformed(`${field} must be true or false`)
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(why: string): BerthError {
  return new BerthError('invalid-argument', 'HOSTS_TOML_INVALID', why)
}
