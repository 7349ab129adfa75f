/**
 * The Docker Engine API, version 1.51: its types, and the checking of requests at run time.
 *
 * @example
 * const request = parseRequest('ContainerCreateRequest', JSON.parse(body)) // throws: HostConfig.Memory must be a number, not string
 */
export type * from './generated/types.ts'
export type { RequestTypes } from './generated/requests.ts'
export { operations } from './generated/operations.ts'
export { parseRequest } from './parse-request.ts'

/** The newest version of the API that these types describe, and the oldest that is answered. */
export const apiVersion = '1.51'
export const minApiVersion = '1.24'
