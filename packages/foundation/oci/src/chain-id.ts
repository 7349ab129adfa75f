import { digestOf } from './digest.ts'

/**
 * The chainID of each layer of a stack, from its diffIDs, lowest first: the name of that layer with everything below it.
 * @see OCI image spec, config.md, "Layer ChainID"
 */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = []
  for (const diffId of diffIds) {
    const below = chain.at(-1)
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`))
  }
  return chain
}

/** The chainID of a whole stack; undefined for no layers. */
export function chainId(diffIds: readonly string[]): string | undefined {
  return chainIds(diffIds).at(-1)
}
