import type { Layer, WorkspacePackage } from './workspace.ts'

/** The layers each layer may depend on (docs/architecture.md). */
const allowed: Record<Layer, readonly Layer[]> = {
  foundation: ['foundation'],
  port: ['foundation'],
  driver: ['port', 'foundation'],
  service: ['service', 'port', 'foundation'],
  engine: ['engine', 'service', 'driver', 'port', 'foundation'],
  app: ['engine', 'service', 'driver', 'port', 'foundation'],
  tool: ['app', 'engine', 'service', 'driver', 'port', 'foundation', 'tool'],
  example: ['app', 'engine', 'service', 'driver', 'port', 'foundation'],
}

const layerOfFolder: Record<string, Layer> = {
  'packages/foundation': 'foundation',
  'packages/ports': 'port',
  'packages/drivers': 'driver',
  'packages/services': 'service',
  'packages/engine': 'engine',
  apps: 'app',
  tools: 'tool',
  examples: 'example',
  e2e: 'tool',
}

/** Violations of the layering among the packages of a workspace, one sentence each. Dependencies must also be free of cycles. */
export function findBoundaryViolations(packages: readonly WorkspacePackage[]): string[] {
  const byName = new Map(packages.map((pkg) => [pkg.manifest.name, pkg]))
  const violations: string[] = []
  const edges = new Map<string, string[]>()
  for (const { dir, manifest } of packages) {
    const layer = manifest.berth?.layer
    const folder = dir.split('/').slice(0, -1).join('/') || dir
    if (!layer || layerOfFolder[folder] !== layer) {
      violations.push(`${manifest.name} stands in ${folder}/ and must carry the layer '${layerOfFolder[folder]}', not '${layer}'`)
      continue
    }
    const runtime = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, ...(manifest['optionalDependencies'] as Record<string, string> | undefined) })
    edges.set(manifest.name, runtime.filter((name) => byName.has(name)))
    for (const name of runtime) {
      const target = byName.get(name)
      if (!target) {
        if (layer === 'port' && name !== 'vitest') violations.push(`${manifest.name} is a port and may not depend on ${name} from npm`)
        continue
      }
      const targetLayer = target.manifest.berth?.layer
      if (targetLayer && !allowed[layer].includes(targetLayer)) {
        violations.push(`${manifest.name} (${layer}) may not depend on ${name} (${targetLayer})`)
      }
    }
  }
  const state = new Map<string, 'open' | 'done'>()
  const visit = (name: string, path: string[]): void => {
    if (state.get(name) === 'done') return
    if (state.get(name) === 'open') {
      violations.push(`dependency cycle: ${[...path.slice(path.indexOf(name)), name].join(' -> ')}`)
      return
    }
    state.set(name, 'open')
    for (const next of edges.get(name) ?? []) visit(next, [...path, name])
    state.set(name, 'done')
  }
  for (const name of edges.keys()) visit(name, [])
  return violations
}
