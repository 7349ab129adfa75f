import { operations } from '@berth/api-types'
import { BerthError } from '@berth/core'
import type { Handler, Route } from './call.ts'

interface CompiledRoute {
  method: string
  pattern: RegExp
  names: string[]
  handler: Handler
}

/** Names of images and plugins hold slashes. */
const withSlashes = /^\/(images|plugins|distribution)\/\{name\}/

function compile({ method, path, handler }: Route): CompiledRoute {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '')
  const part = withSlashes.test(path) ? '(.+)' : '([^/]+)'
  return { method, names, handler, pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, part)}$`) }
}

type Match = { handler: Handler; params: Record<string, string> } | 'no such path' | 'no such method'

export type Router = (method: string, path: string) => Match

/** First part and last part of a path; the last of a route is `*` where it varies. */
function keyOf(path: string): { first: string; last: string } {
  const parts = path.split('/')
  const last = parts.at(-1) ?? ''
  return { first: parts[1] ?? '', last: last.startsWith('{') ? '*' : last }
}

/** Finds the handler of a request. What the API has and no route serves is answered by `unsupported`. */
export function createRouter(routes: readonly Route[], unsupported: Handler): Router {
  const served = new Set(routes.map(({ method, path }) => `${method} ${path}`))
  const rest = operations.filter(({ method, path }) => !served.has(`${method} ${path}`)).map(({ method, path }): Route => ({ method, path, handler: unsupported }))
  const all = [...routes, ...rest]
  // Fixed paths before those with parts that vary: /images/json is not an image called json.
  const fixed = Map.groupBy(all.filter(({ path }) => !path.includes('{')), ({ path }) => path)
  const varying = Map.groupBy(all.filter(({ path }) => path.includes('{')).map((route) => ({ ...compile(route), ...keyOf(route.path) })), ({ first, last }) => `${first} ${last}`)
  return (method, path) => {
    const here = fixed.get(path)
    const exact = here?.find((route) => route.method === method)
    if (exact) return { handler: exact.handler, params: {} }
    let known = here !== undefined
    const { first, last } = keyOf(path)
    for (const key of [`${first} ${last}`, `${first} *`]) {
      for (const route of varying.get(key) ?? []) {
        const match = route.pattern.exec(path)
        if (!match) continue
        known = true
        if (route.method === method) return { handler: route.handler, params: Object.fromEntries(route.names.map((name, index) => [name, decode(match[index + 1] ?? '')])) }
      }
    }
    return known ? 'no such method' : 'no such path'
  }
}

/** The kernel and the records end a name at a NUL, and a terminal obeys control characters: neither is part of any name. */
const controls = /\p{Cc}/u

function decode(part: string): string {
  let name: string
  try {
    name = decodeURIComponent(part)
  } catch {
    throw new BerthError('invalid-argument', 'PATH_INVALID', 'invalid URL escape in the path')
  }
  if (controls.test(name)) throw new BerthError('invalid-argument', 'PATH_INVALID', 'invalid character in the path: a name holds no control characters')
  return name
}
