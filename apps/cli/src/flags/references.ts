import { usageError } from '../cli.ts'

/** Name and tag or digest of an image's reference; a port of the registry is part of the name. */
export function splitReference(reference: string): { name: string; tag?: string; digest?: string } {
  const [name = '', digest] = reference.split('@')
  const [, bare = name, tag] = /^(.+?)(?::([^:/]+))?$/.exec(name) ?? []
  return { name: bare, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) }
}

/** A name to give, which has no digest. What is wrong with it otherwise is the engine's to say. */
export function targetReference(reference: string): { name: string; tag?: string } {
  const { name, tag, digest } = splitReference(reference)
  if (digest !== undefined) throw usageError('refusing to create a tag with a digest reference')
  if (name.slice(name.lastIndexOf('/')).includes(':')) throw usageError('invalid reference format')
  return { name, ...(tag === undefined ? {} : { tag }) }
}
