/**
 * What tests of registry clients want of a registry: faults at the request that they name, and tokens that expire.
 *
 * @example
 * const faults = new ProgrammedFaults()
 * await using registry = await startRegistry({ root, faults })
 * faults.next({ method: 'GET', target: 'blob' }, { kind: 'cut', after: 1000 })
 */
export { type FaultMatch, ProgrammedFaults } from './programmed-faults.ts'
export { startTokenServer, type TokenRequest, type TokenServer, type TokenServerOptions } from './token-server.ts'
