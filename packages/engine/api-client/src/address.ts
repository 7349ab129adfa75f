import { BerthError } from '@berth/core'

/** Where an engine listens. */
export type EngineAddress = { kind: 'unix'; path: string } | { kind: 'tcp'; host: string; port: number | undefined } | { kind: 'ssh'; host: string; user: string | undefined; port: number | undefined }

/** Reads `unix:///path`, `tcp://host[:port]` or `ssh://[user@]host[:port]`. Throws `invalid-argument`. */
export function parseHost(host: string): EngineAddress {
  const unix = /^unix:\/\/(\/.+)$/.exec(host)?.[1]
  if (unix !== undefined) return { kind: 'unix', path: unix }
  const [, kind, user, name, port] = /^(tcp|http|https|ssh):\/\/(?:(\w[\w.-]*)@)?(\[[0-9a-f:.]+\]|[\w.][\w.-]*)(?::(\d{1,5}))?\/?$/i.exec(host) ?? []
  if (name === undefined || (user !== undefined && kind !== 'ssh')) {
    throw new BerthError('invalid-argument', 'HOST_INVALID', `unable to parse docker host "${host}": it must be unix:///path, tcp://host:port or ssh://user@host`)
  }
  const bare = name.replace(/^\[(.*)\]$/, '$1')
  const number = port === undefined ? undefined : Number(port)
  return kind === 'ssh' ? { kind, host: bare, user, port: number } : { kind: 'tcp', host: bare, port: number }
}
