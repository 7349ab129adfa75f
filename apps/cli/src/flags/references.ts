/** Name and tag or digest of an image's reference; a port of the registry is part of the name. */
export function splitReference(reference: string): { name: string; tag?: string; digest?: string } {
  const [name = '', digest] = reference.split('@')
  const [, bare = name, tag] = /^(.+?)(?::([^:/]+))?$/.exec(name) ?? []
  return { name: bare, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) }
}
