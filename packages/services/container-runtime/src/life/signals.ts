import { constants } from 'node:os'
import type { ContainerConfig } from '@berth/api-types'
import { BerthError } from '@berth/core'

const realtime = /^RTM(IN|AX)(?:([+-])(\d+))?$/

/** A signal's number by name, with or without `SIG`, or by number. Throws `invalid-argument` with Docker's words. */
export function parseSignal(text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, '')
  const invalid = new BerthError('invalid-argument', 'SIGNAL_INVALID', `Invalid signal: ${text}`)
  if (/^\d{1,3}$/.test(text)) {
    const number = Number(text)
    if (number < 1 || number > 64) throw invalid
    return number
  }
  const match = realtime.exec(name)
  if (match) {
    const [, end, sign, offset = '0'] = match
    const number = end === 'IN' ? 34 + Number(offset) : 64 - Number(offset)
    if (number < 34 || number > 64 || (sign && (end === 'IN') !== (sign === '+'))) throw invalid
    return number
  }
  const number = Object.entries(constants.signals).find(([key]) => key === `SIG${name}`)?.[1]
  if (number === undefined) throw invalid
  return number
}

/** What asks a container to end. */
export function stopSignalOf({ StopSignal }: ContainerConfig): number {
  return StopSignal ? parseSignal(StopSignal) : constants.signals.SIGTERM
}

/** Seconds that it is given after that; 10 as in Docker unless it says. Negative means for ever. */
export function stopTimeoutOf({ StopTimeout }: ContainerConfig): number {
  return StopTimeout ?? 10
}
