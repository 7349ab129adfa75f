export { buildExecProcess, buildSpec, maskedPathsOf, type MachineFeatures, type SpecInput } from './build-spec.ts'
export type { OciProcess, OciSpec } from './oci-spec.ts'
export { resourcesOf } from './resources.ts'
export { type AccountFiles, type ResolvedUser, resolveUser } from './user.ts'
