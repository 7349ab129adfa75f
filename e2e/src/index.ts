/**
 * Test hosts: whole machines on this kernel, with daemon, registry and neighbour, that prove they were left clean.
 *
 * @example
 * await using host = await TestHost.start()
 * const daemon = await host.startDaemon()
 * expect(await daemon.ok('run', '--rm', 'busybox', 'echo', 'hello')).toBe('hello')
 */
export { type Authority, type KeyPair, makeAuthority } from './authority.ts'
export { busyboxTar } from './busybox-image.ts'
export { type CommandOptions, type CommandResult, eventually, RunningCommand } from './command.ts'
export { Daemon, type DaemonOptions } from './daemon.ts'
export { DockerDaemon } from './docker-daemon.ts'
export { DebianRegistry, type DebianRegistryOptions } from './debian-registry.ts'
export { addresses, removeCgroups, TestHost } from './host.ts'
export { growth, soak, type SoakSample } from './soak.ts'
export { twoPlatformsTar } from './two-platforms.ts'
