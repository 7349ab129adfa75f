import type { Fault, FaultSource, RequestTarget } from './faults.ts'

/** Which requests are meant; what is left out is any. */
export interface FaultMatch {
  /** `GET`, `PUT`, …; a `GET` does not mean a `HEAD`. */
  method?: string
  target?: RequestTarget
  /** Tested against the request's path, without its query. */
  path?: RegExp
}

interface Program {
  match: FaultMatch
  fault: Fault
  left: number
}

/** Faults that a test programs. They happen in the order in which they were programmed, one a request. */
export class ProgrammedFaults implements FaultSource {
  readonly #programs: Program[] = []

  /** The next request that is meant, or the next `times`, goes wrong in this way. */
  next(match: FaultMatch, fault: Fault, { times = 1 }: { times?: number } = {}): void {
    this.#programs.push({ match, fault, left: times })
  }

  /** Every request that is meant goes wrong, until {@link clear}. */
  always(match: FaultMatch, fault: Fault): void {
    this.next(match, fault, { times: Infinity })
  }

  clear(): void {
    this.#programs.length = 0
  }

  /** Faults that did not happen yet. */
  get pending(): number {
    return this.#programs.length
  }

  take(request: { method: string; target: RequestTarget; path: string }): Fault | undefined {
    const index = this.#programs.findIndex(({ match }) => isMeant(match, request))
    const program = this.#programs[index]
    if (program && --program.left <= 0) this.#programs.splice(index, 1)
    return program?.fault
  }
}

function isMeant({ method, target, path }: FaultMatch, request: { method: string; target: RequestTarget; path: string }): boolean {
  return (method ?? request.method) === request.method && (target ?? request.target) === request.target && (path?.test(request.path) ?? true)
}
