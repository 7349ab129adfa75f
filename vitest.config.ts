import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Tests resolve workspace packages to their sources, so that they need no build.
const conditions = ['@berth/source']
// So do the threads and programs that they start, which Node loads by itself.
const stripTypes = `--import=${join(import.meta.dirname, 'tools/presets/strip-types.mjs')}`

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    pool: 'forks',
    execArgv: [`--conditions=${conditions[0]}`, stripTypes],
    env: { NODE_OPTIONS: stripTypes },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    include: ['**/src/**/*.test.ts', '**/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'e2e/**'],
  },
})
