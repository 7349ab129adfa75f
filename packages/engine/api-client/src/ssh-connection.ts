import { spawn } from 'node:child_process'
import { Duplex, Readable } from 'node:stream'
import { BerthError } from '@berth/core'
import type { EngineAddress } from './address.ts'

/** Kept of what ssh says, for the error; in bytes. */
const maxComplaint = 4096

/**
 * A connection to the engine of another machine: `ssh HOST docker system dial-stdio` carries it on its standard streams, so whatever the user's ssh
 * configuration and agent allow works here. `command` is what is run over there.
 */
export function connectSsh({ host, user, port }: EngineAddress & { kind: 'ssh' }, command: readonly string[]): Duplex {
  const child = spawn('ssh', ['-o', 'ConnectTimeout=30', '-T', ...(user ? ['-l', user] : []), ...(port ? ['-p', String(port)] : []), '--', host, ...command], { stdio: ['pipe', 'pipe', 'pipe'] })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(0, maxComplaint)))
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (cause) => reject(new BerthError('unavailable', 'SSH_FAILED', `cannot run ssh: ${cause.message}`, { cause })))
    child.once('close', (code) => {
      if (code) reject(new BerthError('unavailable', 'SSH_FAILED', `ssh to ${host} ended with code ${code}: ${complaint.trim()}`))
      else resolve()
    })
  })
  ended.catch(() => {}) // told by the stream
  // The end of its output is the end of the connection only once it is known whether ssh failed.
  const received = async function* (): AsyncIterable<Uint8Array> {
    yield* child.stdout as AsyncIterable<Uint8Array>
    await ended
  }
  child.stdin.on('error', () => {}) // ssh is gone, which its end tells
  const connection = Duplex.from({ readable: Readable.from(received(), { objectMode: false }), writable: child.stdin })
  connection.once('close', () => child.kill())
  return connection
}
