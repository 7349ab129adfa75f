import { findBoundaryViolations } from './boundaries.ts'
import { staleManifests, syncManifests } from './manifests.ts'
import { readWorkspace } from './workspace.ts'

// usage: cli.ts sync | check
if (process.argv[2] === 'sync') {
  for (const path of syncManifests()) console.log(`wrote ${path}`)
} else if (process.argv[2] === 'check') {
  const problems = [
    ...staleManifests().map((path) => `${path} is not what the workspace tool derives: run 'npm run sync'`),
    ...findBoundaryViolations(readWorkspace()),
  ]
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
} else {
  console.error('usage: cli.ts sync|check')
  process.exitCode = 2
}
