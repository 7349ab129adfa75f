import { BerthError } from '@berth/core'
import type { Container } from './container.ts'

const hexadecimal = /^[0-9a-f]{1,64}$/

/** The containers in memory, by ID and by name. One whose removal was recorded is found by its former name only while nobody else has it. */
export class ContainerIndex {
  readonly #byId = new Map<string, Container>()
  readonly #idByName = new Map<string, string>()
  readonly #idByFormerName = new Map<string, string>()

  /** Throws `conflict` with Docker's words when the name is taken. */
  add(container: Container): void {
    const { id, name, record } = container
    if (record.phase === 'removing') this.#idByFormerName.set(name, id)
    else {
      this.#checkFree(name)
      this.#idByName.set(name, id)
    }
    this.#byId.set(id, container)
  }

  /** Others may have its name from now on. */
  freeName({ id, name }: Container): void {
    if (this.#idByName.get(name) === id) this.#idByName.delete(name)
    this.#idByFormerName.set(name, id)
  }

  /** Throws `conflict` when the new name is taken. */
  rename(container: Container, name: string): void {
    this.#checkFree(name)
    this.#idByName.delete(container.name)
    this.#idByName.set(name, container.id)
    container.record.name = name
  }

  delete(container: Container): void {
    this.#byId.delete(container.id)
    for (const ids of [this.#idByName, this.#idByFormerName]) if (ids.get(container.name) === container.id) ids.delete(container.name)
  }

  hasName(name: string): boolean {
    return this.#idByName.has(name)
  }

  get(id: string): Container | undefined {
    return this.#byId.get(id)
  }

  all(): Container[] {
    return [...this.#byId.values()]
  }

  /** By full ID, name, or an ID prefix that only one container has. Throws `not-found`, or `invalid-argument` for an ambiguous prefix. */
  resolve(ref: string): Container {
    const name = ref.startsWith('/') ? ref.slice(1) : ref
    const named = this.#idByName.get(name) ?? this.#idByFormerName.get(name) ?? ''
    const container = this.#byId.get(ref) ?? this.#byId.get(named) ?? this.#byPrefix(ref)
    // A container that is still being made is nobody's yet.
    if (!container || container.record.phase === 'creating') throw new BerthError('not-found', 'CONTAINER_NOT_FOUND', `No such container: ${ref}`)
    return container
  }

  #byPrefix(prefix: string): Container | undefined {
    if (!hexadecimal.test(prefix)) return undefined
    let found: Container | undefined
    for (const [id, container] of this.#byId) {
      if (!id.startsWith(prefix)) continue
      if (found) throw new BerthError('invalid-argument', 'CONTAINER_AMBIGUOUS', `Multiple IDs found with provided prefix: ${prefix}`)
      found = container
    }
    return found
  }

  #checkFree(name: string): void {
    const id = this.#idByName.get(name)
    if (id === undefined) return
    throw new BerthError('conflict', 'CONTAINER_NAME_TAKEN',
      `Conflict. The container name "/${name}" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`)
  }
}
