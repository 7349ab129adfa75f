import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'

/** A comparison that is slow by design. Answered with whether they match, in the order of the requests. */
export interface PasswordRequest {
  password: string
  hash: string
}

parentPort?.on('message', ({ password, hash }: PasswordRequest) => parentPort?.postMessage(compareSync(password, hash)))
