import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type CheckpointOperations, type ContainerOperations, type ContainerRuntime, type ExecOperations, openContainerRuntime } from '@berth/container-runtime'
import { BerthError, isKind, messageOf, silent } from '@berth/core'
import { openImageStore } from '@berth/image-store'
import { acquireLock } from '@berth/linux'
import type { LogDriver } from '@berth/log-driver'
import { fluentdLogDriver } from '@berth/log-fluentd'
import { journaldLogDriver } from '@berth/log-journald'
import { jsonFileLogDriver } from '@berth/log-json-file'
import { localLogDriver } from '@berth/log-local'
import { syslogLogDriver } from '@berth/log-syslog'
import { bridgeNetworks } from '@berth/network-bridge'
import { hostNetworks } from '@berth/network-host'
import { NetworkManager } from '@berth/network-manager'
import { noNetworks } from '@berth/network-none'
import { readCertsDirs, RegistryClient } from '@berth/registry-client'
import { overlaySnapshotter } from '@berth/snapshotter-overlay'
import { localVolumes } from '@berth/volume-local'
import { VolumeManager } from '@berth/volume-manager'
import { defaultLogConfig } from './default-log-config.ts'
import type { EngineOptions } from './engine-options.ts'
import { EventHub } from './event-hub.ts'
import { type EngineImages, engineImages } from './images.ts'
import { OrphanCollector } from './orphan-collector.ts'
import { createRuntimes } from './runtimes.ts'
import { createSystem, type System } from './system.ts'

const defaultDataRoot = '/var/lib/berth'

/** Everything an engine does, by area; each area has the shape that `@berth/api-server` serves. Disposing lets go of it all: containers run on. */
export interface Engine extends AsyncDisposable {
  readonly system: System
  readonly containers: ContainerOperations
  readonly execs: ExecOperations
  readonly checkpoints: CheckpointOperations
  readonly images: EngineImages
  readonly networks: NetworkManager
  readonly volumes: VolumeManager
  /** Ends in order: stops the containers (unless `liveRestore`), takes down what the kernel holds for networks without containers, and disposes. */
  shutDown(): Promise<void>
}

/**
 * Opens an engine over its directories and takes over the containers that run.
 * @throws `conflict` when another process has one of the directories.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { dataRoot, execRoot, logger = silent, cgroupParent = '/berth', initPath, liveRestore = true, shutdownTimeout = 15 } = options
  await using opened = new AsyncDisposableStack()
  makePrivate(dataRoot, 0o710)
  // Root of a container with a user namespace is somebody else here, and reaches its files by a path below.
  makePrivate(execRoot, 0o711)
  for (const root of [dataRoot, execRoot]) opened.use(lockRoot(root))

  const events = opened.use(new EventHub({ directory: join(dataRoot, 'events'), logger }))
  const { emit } = events
  const snapshotter = opened.use(overlaySnapshotter({ root: join(dataRoot, 'snapshots'), logger }))
  const registry = opened.use(
    new RegistryClient({
      insecureRegistries: options.insecureRegistries,
      mirrors: options.registryMirrors,
      hosts: readCertsDirs(options.certsDirs ?? []),
      httpProxy: options.httpProxy,
      httpsProxy: options.httpsProxy,
      noProxy: options.noProxy,
      userAgent: `berth/${options.version ?? ''}`,
      logger,
    }),
  )
  let runtime: ContainerRuntime | undefined
  const images = opened.use(
    await openImageStore({
      root: join(dataRoot, 'images'),
      snapshotter,
      registry,
      parallelDownloads: options.maxConcurrentDownloads,
      parallelUploads: options.maxConcurrentUploads,
      usage: (imageId) => (runtime?.imagesInUse().get(imageId) ?? []).map(({ id, state }) => ({ id, running: state === 'running' || state === 'paused' || state === 'restarting' })),
      emit,
      logger,
    }),
  )
  const collector = opened.use(new OrphanCollector({ images, logger }))
  const volumeDriver = opened.use(localVolumes({ root: join(dataRoot, 'volumes') }))
  const volumes = opened.use(new VolumeManager({ stateDir: join(dataRoot, 'volume-manager'), execDir: join(execRoot, 'volumes'), drivers: [volumeDriver], emit, logger }))
  const networks = opened.use(
    new NetworkManager({
      stateDir: join(dataRoot, 'networks'),
      execDir: join(execRoot, 'networks'),
      drivers: [bridgeNetworks({ table: tableOf(dataRoot), logger }), hostNetworks(), noNetworks()],
      defaultBridge: options.bip === undefined ? {} : { bip: options.bip },
      emit,
      logger,
    }),
  )
  const runtimes = opened.use(createRuntimes({ execRoot, settings: options.runtimes, defaultName: options.defaultRuntime, logger }))
  const cache = localLogDriver()
  const shipped = [syslogLogDriver({ cache, logger }), journaldLogDriver({ cache, logger }), fluentdLogDriver({ cache, logger })]
  for (const driver of shipped) opened.use(driver)
  const logDrivers = new Map([jsonFileLogDriver(), cache, ...shipped].map((driver): [string, LogDriver] => [driver.name, driver]))
  const logConfig = defaultLogConfig(logDrivers, options.logConfig)
  runtime = opened.use(
    await openContainerRuntime(
      {
        images, snapshotter, networks, volumes, runtimes: runtimes.configured, findRuntime: runtimes.find, logDrivers, logger,
        emit: (event) => {
          emit(event)
          if (event.action === 'destroy') collector.schedule()
        },
      },
      { stateDir: join(dataRoot, 'runtime'), execDir: join(execRoot, 'bundles'), failPoint: options.failPoint, execOnDisconnect: options.execOnDisconnect, ...(options.backlog ? { backlog: options.backlog } : {}), machine: initPath ? { initPath } : {}, defaults: { ...options.containerDefaults, CgroupParent: cgroupParent, LogConfig: logConfig }, userns: { mode: options.userns, remap: options.usernsRemap }, ...(options.cdiSpecDirs ? { cdiSpecDirs: options.cdiSpecDirs } : {}) },
    ),
  ) // prettier-ignore
  const { containers, execs, checkpoints } = runtime
  const known = runtime.ids()
  await volumes.forgetAllBut(known)
  const system = createSystem({ options, events, runtime, images, networks, volumes, registry, runtimes, logDrivers, snapshotter, liveRestore })

  const held = opened.move()
  const running = runtime
  return {
    system, containers, execs, checkpoints, images: engineImages(images, registry), networks, volumes,
    async shutDown() {
      try {
        if (!liveRestore) await running.stopAll({ timeout: shutdownTimeout })
        await networks.shutDown()
      } catch (error) {
        logger.error('the end was not in order', { error: messageOf(error) })
      }
      await held.disposeAsync()
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  } // prettier-ignore
}

/** The firewall table of an engine; engines side by side each have their own. */
function tableOf(dataRoot: string): string {
  return dataRoot === defaultDataRoot ? 'berth' : `berth_${createHash('sha256').update(dataRoot).digest('hex').slice(0, 8)}`
}

function makePrivate(dir: string, mode: number): void {
  mkdirSync(dir, { recursive: true, mode })
  chmodSync(dir, mode)
}

function lockRoot(root: string): Disposable {
  try {
    return acquireLock(join(root, 'lock'))
  } catch (cause) {
    if (!isKind(cause, 'conflict')) throw cause
    const holder = /process (\d+)/.exec(messageOf(cause))?.[1]
    throw new BerthError('conflict', 'ROOT_IN_USE', `${root} is in use by another berthd${holder ? ` (process ${holder})` : ''}`, { cause })
  }
}
