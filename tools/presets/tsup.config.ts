import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

// One build preset for every package: the manifest says which source files are entries.
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  berth?: { entries?: string[]; workers?: string[]; bundle?: boolean; external?: string[] }
}
const entries = [...(manifest.berth?.entries ?? ['index']), ...(manifest.berth?.workers ?? [])]

const external = manifest.berth?.external ?? []
const bundled = new RegExp(external.length > 0 ? `^(?!(?:${external.join('|')})(?:/|$))` : '')

export default defineConfig({
  entry: Object.fromEntries(entries.map((name) => [name, `src/${name}.ts`])),
  format: 'esm',
  target: 'node24',
  platform: 'node',
  dts: false, // `tsc -b` emits the declarations
  splitting: true,
  sourcemap: true,
  clean: false,
  // `external`: what brings workers or native code, and only some commands load.
  // One file holds all that a program needs of its dependencies and no more: it starts faster.
  ...(manifest.berth?.bundle ? { noExternal: [bundled], esbuildOptions: (options: { conditions?: string[] }) => void (options.conditions = ['@berth/source']) } : {}),
  removeNodeProtocol: false, // node:sqlite exists only under its prefix
})
