import { BerthError } from '@berth/core'
import type { NetworkDriver } from '@berth/network-driver'
import { bridgeNetworks } from '../src/index.ts'

// A driver in a process of its own, in the network namespace in which that was started: it is asked over the process's channel.

export interface DriverCall {
  id: number
  method: keyof NetworkDriver | 'dispose'
  args: unknown[]
}

export interface DriverAnswer {
  id: number
  value?: unknown
  error?: { kind: BerthError['kind']; code: string; message: string }
}

const driver = bridgeNetworks()

async function answer({ id, method, args }: DriverCall): Promise<void> {
  try {
    const run = method === 'dispose' ? () => driver[Symbol.asyncDispose]() : (driver[method as keyof NetworkDriver] as (...args: unknown[]) => unknown).bind(driver)
    process.send?.({ id, value: await run(...args) } satisfies DriverAnswer)
  } catch (error) {
    const { kind, code, message } = error instanceof BerthError ? error : { kind: 'internal' as const, code: 'UNEXPECTED', message: String((error as Error).stack) }
    process.send?.({ id, error: { kind, code, message } } satisfies DriverAnswer)
  }
  if (method === 'dispose') process.disconnect()
}

process.on('message', (call: DriverCall) => void answer(call))
