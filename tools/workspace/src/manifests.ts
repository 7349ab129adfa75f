import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type Manifest, readWorkspace, root, type WorkspacePackage } from './workspace.ts'

const tsup = 'tsup --silent --config ../../../tools/presets/tsup.config.ts'

function isLibrary({ dir }: WorkspacePackage): boolean {
  return dir.startsWith('packages/') || dir.startsWith('apps/')
}

/** What a package's manifest has to say, derived from its `berth` section; author's fields are kept. */
function deriveManifest(pkg: WorkspacePackage): Manifest {
  const { manifest, dir } = pkg
  if (!isLibrary(pkg)) return manifest
  const { name, description, berth, dependencies, peerDependencies, peerDependenciesMeta, optionalDependencies, devDependencies } = manifest
  const entries = berth?.entries ?? ['index']
  const up = relative(join(root, dir), root)
  return {
    name,
    version: manifest.version ?? '0.1.0',
    description,
    license: 'Apache-2.0',
    type: 'module',
    sideEffects: false,
    engines: { node: '>=24' },
    os: ['linux'],
    ...(manifest.bin ? { bin: manifest.bin } : {}),
    ...(entries.length > 0
      ? {
          exports: {
            ...Object.fromEntries(
              entries.map((entry) => [
                entry === 'index' ? '.' : `./${entry}`,
                { '@berth/source': `./src/${entry}.ts`, types: `./dist/${entry}.d.ts`, default: `./dist/${entry}.js` },
              ]),
            ),
            './package.json': './package.json',
          },
        }
      : {}),
    files: ['dist', 'src', '!src/**/*.test.ts', ...(manifest.bin ? ['bin'] : [])],
    publishConfig: { access: 'public' },
    scripts: {
      ...(berth?.generate ? { generate: berth.generate } : {}),
      build: tsup.replace('../../..', up),
      test: `vitest run --root ${up} --dir . --reporter=default --reporter=json --outputFile.json=.cache/tests/${name}.json`,
    },
    nx: { tags: [`layer:${berth?.layer}`] },
    berth,
    dependencies,
    peerDependencies,
    peerDependenciesMeta,
    optionalDependencies,
    devDependencies,
  }
}

/** The TypeScript project of a package: its sources, and references to the packages it builds on. */
function deriveTsconfig(pkg: WorkspacePackage, all: WorkspacePackage[]): unknown {
  const up = relative(join(root, pkg.dir), root)
  const uses = { ...pkg.manifest.dependencies, ...pkg.manifest.peerDependencies }
  return {
    extends: `${up}/tsconfig.base.json`,
    compilerOptions: { rootDir: 'src', outDir: 'dist', tsBuildInfoFile: 'dist/.tsbuildinfo' },
    include: ['src'],
    exclude: ['src/**/*.test.ts'],
    references: all
      .filter((other) => other.manifest.name in uses && isLibrary(other))
      .map((other) => ({ path: relative(join(root, pkg.dir), join(root, other.dir)) })),
  }
}

const print = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** Files that `sync` writes and `check` compares, by path relative to the root. */
function deriveFiles(): Map<string, string> {
  const all = readWorkspace()
  const files = new Map<string, string>()
  const libraries = all.filter(isLibrary)
  for (const pkg of libraries) {
    files.set(`${pkg.dir}/package.json`, print(deriveManifest(pkg)))
    files.set(`${pkg.dir}/tsconfig.json`, print(deriveTsconfig(pkg, all)))
  }
  // The tests are a project of the root's too: the linter and editors learn from here which settings a test has.
  files.set('tsconfig.json', print({ files: [], references: [...libraries.map(({ dir }) => dir), 'tsconfig.tests.json'].map((path) => ({ path })) }))
  return files
}

export function syncManifests(): string[] {
  const changed = staleManifests()
  const files = deriveFiles()
  for (const path of changed) writeFileSync(join(root, path), files.get(path) ?? '')
  return changed
}

export function staleManifests(): string[] {
  return [...deriveFiles()]
    .filter(([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text)
    .map(([path]) => path)
}
