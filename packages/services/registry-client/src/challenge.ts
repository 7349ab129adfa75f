/** What a registry demands before it answers. @see RFC 9110, section 11.6.1; distribution's token authentication */
export interface Challenge {
  scheme: 'basic' | 'bearer'
  /** Names are in lower case. */
  parameters: Readonly<Record<string, string>>
}

/** Reads a `WWW-Authenticate` header, which may hold several challenges: a bearer one first, else a basic one; undefined where it names neither. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = []
  const pattern = /(?:^|[,\s])(?:([A-Za-z]+)(?:\s+(?!\s*=)|\s*$|\s*,))?(?:([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/g
  for (const [, scheme, key, quoted, plain] of (header ?? '').slice(0, 4096).matchAll(pattern)) {
    if (scheme) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} })
    const current = challenges.at(-1)
    if (key && current) current.parameters[key.toLowerCase()] = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? ''
  }
  for (const scheme of ['bearer', 'basic'] as const) {
    const found = challenges.find((challenge) => challenge.scheme === scheme)
    if (found) return { scheme, parameters: found.parameters }
  }
  return undefined
}
