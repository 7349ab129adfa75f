/** What a registry demands before it answers. @see RFC 7235, section 4.1; distribution's token authentication */
export interface Challenge {
  scheme: 'basic' | 'bearer'
  parameters: Readonly<Record<string, string>>
}

/** Reads a `WWW-Authenticate` header; undefined where it names no scheme that is known. */
export function parseChallenge(header: string | null): Challenge | undefined {
  const [, scheme = '', rest = ''] = /^\s*(\w+)\s*(.*)$/s.exec((header ?? '').slice(0, 4096)) ?? []
  const name = scheme.toLowerCase()
  if (name !== 'basic' && name !== 'bearer') return undefined
  const parameters: Record<string, string> = {}
  for (const [, key = '', quoted, plain] of rest.matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g)) parameters[key.toLowerCase()] = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? ''
  return { scheme: name, parameters }
}
