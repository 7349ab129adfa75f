import { BerthError } from '@berth/core'
import type { Context } from './context.ts'
import type { ContainerRecord, NetworkRecord } from './network-records.ts'

const isPrefix = (ref: string): boolean => /^[0-9a-f]{1,64}$/.test(ref)

/** By full ID, by name, or by a prefix of the ID that no other network has. Throws `not-found` with Docker's words. */
export function findNetwork({ records }: Context, ref: string): NetworkRecord {
  const ready = [...records.networks.values()].filter(({ phase }) => phase === 'ready')
  const exact = ready.find(({ id }) => id === ref) ?? ready.find(({ name }) => name === ref)
  if (exact) return exact
  const matches = isPrefix(ref) ? ready.filter(({ id }) => id.startsWith(ref)) : []
  if (matches.length > 1) throw new BerthError('invalid-argument', 'NETWORK_AMBIGUOUS', `network ${ref} is ambiguous (${matches.length} matches found based on ID prefix)`)
  const [match] = matches
  if (!match) throw new BerthError('not-found', 'NETWORK_NOT_FOUND', `network ${ref} not found`)
  return match
}

/** As {@link findNetwork}, of containers; a name may have its slash. */
export function findContainer({ records }: Context, ref: string): ContainerRecord {
  const containers = [...records.containers.values()]
  const exact = records.containers.get(ref) ?? containers.find(({ name }) => name === ref.replace(/^\//, ''))
  if (exact) return exact
  const matches = isPrefix(ref) ? containers.filter(({ id }) => id.startsWith(ref)) : []
  if (matches.length > 1) throw new BerthError('invalid-argument', 'CONTAINER_AMBIGUOUS', `multiple IDs found with provided prefix: ${ref}`)
  const [match] = matches
  if (!match) throw new BerthError('not-found', 'CONTAINER_NOT_FOUND', `No such container: ${ref}`)
  return match
}
