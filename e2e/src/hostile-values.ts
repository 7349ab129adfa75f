import { resolve, type Schema } from './api-spec.ts'

/** Numbers from 0 to 1, always the same for a seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const strings = [
  '', ' ', 'a', 'busybox', '/', '..', '../../../../etc', '/proc/self/fd/7', 'a\0b', 'a\nb', '\u001b[2J', '-1', '0', 'null', '{}', '%00', '%n%n%n', 'ä'.repeat(300), 'x'.repeat(5000), '__proto__', 'constructor', 'a:b:c:d',
  '80/tcp', '65536/tcp', 'host', 'container:', 'container:nobody', 'on-failure', 'SIGKILL', '4294967296', '10.0.0.1', 'fe80::1', '1e9', '\ud800', '$(reboot)', ';true', 'label=disable', 'seccomp={', 'rw,nosuid', '0-999999', 'io.containerd.x.v1',
] // prettier-ignore
const numbers = [0, 1, -1, 2, 7, 1024, 6 << 20, 2 ** 31, 2 ** 32, -(2 ** 31), Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 1e18, 0.5, -0.5, 1e300]
const anything: unknown[] = [null, true, false, [], {}, [[]], [null], { a: null }, ...strings.slice(0, 4), ...numbers.slice(0, 3)]

/**
 * Values for a schema that are mostly of the right types and mostly nonsense: what a client that means harm, or one with a bug, sends.
 * Maps and lists are short, so that a request stays small.
 */
export class HostileValues {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = seeded(seed)
  }

  one<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)] as T
  }

  chance(probability: number): boolean {
    return this.#random() < probability
  }

  of(given: Schema, depth = 0): unknown {
    if (this.chance(0.03)) return this.one(anything)
    const schema = resolve(given)
    if (schema.enum && this.chance(0.6)) return this.one(schema.enum)
    switch (schema.type) {
      case 'string':
        return this.one(strings)
      case 'boolean':
        return this.chance(0.5)
      case 'integer':
      case 'number':
        return this.one(numbers)
      case 'array':
        return depth > 6 ? [] : Array.from({ length: Math.floor(this.#random() * 3) }, () => this.of(schema.items ?? {}, depth + 1))
      default:
        return depth > 6 ? {} : this.#object(schema, depth)
    }
  }

  #object({ properties = {}, additionalProperties }: Schema, depth: number): Record<string, unknown> {
    const members = Object.entries(properties).filter(() => this.chance(depth === 0 ? 0.3 : 0.2))
    const value = Object.fromEntries(members.map(([name, schema]): [string, unknown] => [name, this.of(schema, depth + 1)]))
    if (typeof additionalProperties === 'object' && this.chance(0.7)) {
      Object.defineProperty(value, this.one(strings), { value: this.of(additionalProperties, depth + 1), enumerable: true })
    }
    return value
  }
}
