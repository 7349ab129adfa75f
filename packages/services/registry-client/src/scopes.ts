/** More than a registry can mean. */
const maxScopes = 32

/**
 * Scopes of distribution's tokens (`repository:team/app:pull,push`), each resource once with all its actions, in an order that does not depend on who asks.
 * @see distribution, "Token Scope Documentation"
 */
export function mergeScopes(...lists: (readonly string[])[]): string[] {
  const resources = new Map<string, Set<string>>()
  for (const scope of lists.flat().slice(0, maxScopes)) {
    const [, resource, actions] = /^([^\s:]+:[^\s]+):([^\s:]*)$/.exec(scope) ?? []
    if (resource === undefined || actions === undefined) continue
    const all = resources.get(resource) ?? new Set()
    for (const action of actions.split(',')) if (action) all.add(action)
    resources.set(resource, all)
  }
  return [...resources].map(([resource, actions]) => `${resource}:${[...actions].toSorted().join(',')}`).toSorted()
}
