/**
 * Volumes, who uses them, and the mounts of containers, over drivers that keep the files.
 *
 * @example
 * await using volumes = new VolumeManager({ stateDir, execDir, drivers: [localVolumes({ root })] })
 * await volumes.create({ Name: 'data' })
 */
export { VolumeManager, type VolumeManagerOptions, type VolumeMount, type VolumeRequest } from './volume-manager.ts'
