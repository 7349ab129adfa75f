/**
 * Blobs by digest: verified, resumable, durable, and read by whoever needs them.
 *
 * @example
 * await using store = await openContentStore({ root: '/var/lib/tool/content' })
 * const digest = await store.write(Buffer.from('{}'))
 */
export type * from './content-store.ts'
export { expireIngests } from './expire-ingests.ts'
export { openContentStore, type OpenContentStoreOptions } from './open-content-store.ts'
export { type ContentReader, readContent } from './read-content.ts'
