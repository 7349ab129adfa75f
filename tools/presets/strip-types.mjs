/**
 * For the threads and programs that tests start from sources: takes the types away with rolldown's transformer, which is native code. Node's own stripper is
 * WebAssembly, and V8 ends a process now and then in which several threads load and free that ("Check failed: jit_page.has_value()"; nodejs/node#64500).
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'rolldown/utils'

registerHooks({
  load(url, context, next) {
    if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context)
    const path = fileURLToPath(url)
    const { code, errors } = transformSync(path, readFileSync(path, 'utf8'), { sourcemap: false })
    if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0].message}`)
    return { format: 'module', source: code, shortCircuit: true }
  },
})
