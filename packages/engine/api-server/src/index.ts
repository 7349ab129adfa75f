/**
 * The Docker Engine API over HTTP, in front of whatever implements the small interfaces of {@link Backend}.
 *
 * @example
 * await using server = new ApiServer({ backend })
 * await server.listen({ path: '/run/berth/berth.sock' })
 */
export type * from './backend.ts'
export { ApiServer, type ApiServerOptions, type ListenAddress } from './server.ts'
