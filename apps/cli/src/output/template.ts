import { usageError } from '../cli.ts'

/**
 * Fills the simple part of Go's templates: `{{.Field.Member}}` and `{{json .Field}}`, with `\t` and `\n`. Throws `invalid-argument` for anything more,
 * and for a member that is not there.
 */
export function fillTemplate(template: string, value: unknown): string {
  return template.replaceAll('\\t', '\t').replaceAll('\\n', '\n').replaceAll(/\{\{(.*?)\}\}/gs, (_, expression: string) => {
    const [, json, path] = /^\s*(json\s+)?(\.[\w.]*)\s*$/.exec(expression) ?? []
    if (path === undefined) throw usageError(`template not understood: {{${expression}}}; {{.Field}} and {{json .Field}} are`)
    let found: unknown = value
    for (const name of path.split('.').filter((part) => part !== '')) {
      if (found === null || typeof found !== 'object' || !(name in found)) throw usageError(`template: there is no ${path}`)
      found = (found as Record<string, unknown>)[name]
    }
    return json === undefined && typeof found === 'string' ? found : JSON.stringify(found ?? null)
  })
}
