import { defineConfig } from 'vitest/config'

// Tests resolve workspace packages to their sources, so that they need no build.
const conditions = ['@berth/source']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    pool: 'forks',
    execArgv: [`--conditions=${conditions[0]}`],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    include: ['**/src/**/*.test.ts', '**/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'e2e/**'],
  },
})
