import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Logger, messageOf, silent } from '@berth/core'
import type { OciRuntime } from '@berth/oci-runtime'
import { type ContainerRuntime, openContainerRuntime } from '../runtime.ts'
import { defaultRuntime, type OpenOciRuntime } from './default-runtime.ts'
import { LocalImages } from './local-images.ts'
import { LocalNetworks } from './local-networks.ts'
import { LocalSnapshots } from './local-snapshots.ts'
import { LocalVolumes } from './local-volumes.ts'
import { makeWorkspace, orphanedWorkspaces, type Workspace } from './workspace.ts'

export interface LocalContainersOptions {
  /** Directory that programs may share; `/var/lib/berth-local` by default. At most 40 bytes. */
  root?: string
  /** `shimRuntime` of `@berth/runtime-shim` when absent, which has to be installed then. */
  runtime?: OpenOciRuntime
  logger?: Logger
}

/** Containers that belong to this program. Disposing kills and removes them. */
export interface LocalContainers extends AsyncDisposable, Pick<ContainerRuntime, 'containers' | 'execs'> {
  /** What runs them, for bundles. */
  readonly runtime: OciRuntime
  /** Where bundles are made. What is in there when the program is killed is destroyed by the next. */
  readonly bundles: string
}

const defaultRoot = '/var/lib/berth-local'
const cgroupParent = '/berth-local'

/**
 * Opens containers that need nothing but an OCI runtime: `Image` is the path of an archive, an OCI layout or a directory with files; networks are `none` and `host`; volumes are binds and tmpfs;
 * output goes to who is attached. What programs that were killed have left behind is ended and removed first.
 */
export async function openLocalContainers({ root = defaultRoot, runtime, logger = silent }: LocalContainersOptions = {}): Promise<LocalContainers> {
  const openRuntime = runtime ?? (await defaultRuntime())
  const workspace = makeWorkspace(root)
  for (const orphan of orphanedWorkspaces(root)) {
    try {
      await using left = await openIn(orphan, openRuntime, logger)
      for (const id of left.names().keys()) await left.containers.remove(id, { force: true, volumes: true, link: false })
    } catch (error) {
      orphan.release()
      logger.warn('what another program has left could not be removed', { directory: orphan.directory, error: messageOf(error) })
    }
  }
  return openIn(workspace, openRuntime, logger)
}

async function openIn(workspace: Workspace, openRuntime: OpenOciRuntime, logger: Logger): Promise<LocalContainers & Pick<ContainerRuntime, 'names'>> {
  const at = (name: string): string => join(workspace.directory, name)
  const bundles = at('b')
  await using opened = new AsyncDisposableStack()
  opened.defer(() => workspace.remove())
  const oci = opened.use(openRuntime({ stateDir: at('s'), logger }))
  opened.defer(() => destroyAll(oci, bundles))
  const images = opened.use(new LocalImages(at('images')))
  const snapshotter = new LocalSnapshots(at('snapshots'), (chainId) => images.rootOf(chainId))
  const dependencies = {
    images, snapshotter, networks: new LocalNetworks(), volumes: new LocalVolumes(), logger,
    runtimes: new Map([[oci.name, oci]]), logDrivers: new Map(), emit: () => {},
  } // prettier-ignore
  const defaults = { CgroupParent: cgroupParent, LogConfig: { Type: 'none' as const, Config: {} } }
  const all = opened.use(await openContainerRuntime(dependencies, { stateDir: at('state'), execDir: at('e'), defaults }))
  opened.defer(async () => {
    for (const id of all.names().keys()) await all.containers.remove(id, { force: true, volumes: true, link: false })
  })
  const held = opened.move()
  return { containers: all.containers, execs: all.execs, names: () => all.names(), runtime: oci, bundles, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

async function destroyAll(runtime: OciRuntime, bundles: string): Promise<void> {
  if (!existsSync(bundles)) return
  for (const id of readdirSync(bundles)) await runtime.destroy({ id, bundle: join(bundles, id) })
}
