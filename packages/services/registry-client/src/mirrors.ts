import { BerthError } from '@berth/core'

/** How long a mirror that could not be reached is passed over, in milliseconds. */
const ailingTime = 60_000

/** The registries that are asked before Docker Hub. */
export class Mirrors {
  readonly #bases: readonly string[]
  /** When each is to be asked again. */
  readonly #ailingUntil = new Map<string, number>()

  /** @throws `invalid-argument` for what is no plain URL; a user or password in it is not repeated. */
  constructor(mirrors: readonly string[]) {
    this.#bases = mirrors.map((mirror) => {
      const url = URL.parse(mirror)
      if (url?.username || url?.password) throw new BerthError('invalid-argument', 'MIRROR_INVALID', 'invalid mirror: username/password not allowed in URI')
      if (!url || !['http:', 'https:'].includes(url.protocol) || url.search || url.hash) {
        throw new BerthError('invalid-argument', 'MIRROR_INVALID', `invalid mirror: ${JSON.stringify(mirror.slice(0, 200))} is not the URL of a registry`)
      }
      return url.href.replace(/\/+$/, '')
    })
  }

  /** Those to ask for an image of this domain, in their order. */
  for(domain: string): string[] {
    return domain === 'docker.io' ? this.#bases.filter((base) => (this.#ailingUntil.get(base) ?? 0) <= Date.now()) : []
  }

  has(base: string): boolean {
    return this.#bases.includes(base)
  }

  passOver(base: string): void {
    if (this.has(base)) this.#ailingUntil.set(base, Date.now() + ailingTime)
  }
}
