import type { ContainerSummary } from '@berth/api-types'
import type { Container } from '../container.ts'
import { type Context, together } from '../context.ts'
import { humanDuration } from './human-duration.ts'
import { commandOf, sizesOf } from './inspect.ts'
import { type Filters, filterTest } from './list-filters.ts'

export interface ListOptions {
  all: boolean
  limit?: number
  size: boolean
  filters: Filters
}

/** `Up 3 seconds (healthy)`, `Exited (1) 2 hours ago`, … */
function statusLine(container: Container): string {
  const { state, status } = container
  const since = (time: string): string => humanDuration(Date.now() - Date.parse(time))
  switch (status) {
    case 'running': {
      const suffix = state.health && (state.health.Status === 'starting' ? ' (health: starting)' : ` (${state.health.Status})`)
      return `Up ${since(state.startedAt)}${suffix ?? ''}`
    }
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`
    case 'removing':
      return 'Removal In Progress'
    case 'dead':
      return 'Dead'
    case 'created':
      return 'Created'
    default:
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`
  }
}

const createdAt = ({ record }: Container): string => record.definition.createdAt

function portsOf(settings: ReturnType<Context['deps']['networks']['settings']>): NonNullable<ContainerSummary['Ports']> {
  return Object.entries(settings.Ports ?? {}).flatMap(([key, bindings]) => {
    const [port, protocol = 'tcp'] = key.split('/')
    const base = { PrivatePort: Number(port), Type: protocol as 'tcp' }
    return bindings?.length ? bindings.map(({ HostIp, HostPort }) => ({ IP: HostIp || '0.0.0.0', ...base, PublicPort: Number(HostPort) })) : [base]
  })
}

/** A command as one line, with arguments quoted that hold spaces. */
function commandLine(container: Container): string {
  return commandOf(container)
    .map((part) => (/\s|^$/.test(part) ? `'${part.replaceAll("'", String.raw`'\''`)}'` : part))
    .join(' ')
}

const hasMembers = (value: object | null | undefined): boolean => Object.keys(value ?? {}).length > 0

const imageName = ({ record }: Container): string => record.definition.config.Image ?? ''

/** Which image each name stands for that containers were made by; nothing for one that is for none any more. */
async function imagesByName({ deps }: Context, containers: readonly Container[]): Promise<Map<string, string | undefined>> {
  const names = new Set(containers.map(imageName))
  const idOf = async (name: string): Promise<[string, string | undefined]> => [name, await deps.images.resolve(name).then(({ id }) => id, () => undefined)] // prettier-ignore
  return new Map(await Promise.all([...names].map(idOf)))
}

function summaryOf(ctx: Context, container: Container, images: ReadonlyMap<string, string | undefined>): ContainerSummary {
  const { id, record } = container
  const { definition } = record
  const settings = ctx.deps.networks.settings(id)
  return {
    Id: id,
    Names: [`/${record.name}`],
    // As in Docker, a name that has gone to another image is not the container's any more.
    Image: images.get(imageName(container)) === definition.imageId ? imageName(container) : definition.imageId,
    ImageID: definition.imageId,
    Command: commandLine(container),
    Created: Math.floor(Date.parse(definition.createdAt) / 1000),
    Ports: container.isRunning ? portsOf(settings) : [],
    Labels: definition.config.Labels ?? {},
    State: container.status as ContainerSummary['State'],
    Status: statusLine(container),
    HostConfig: { NetworkMode: definition.host.NetworkMode, ...(hasMembers(definition.host.Annotations) && { Annotations: definition.host.Annotations }) },
    NetworkSettings: { Networks: settings.Networks },
    Mounts: ctx.deps.volumes.mountPoints(id),
  } as ContainerSummary
}

/** Running containers, or more when asked for, the newest first. */
export async function listContainers(ctx: Context, { all, limit = 0, size, filters }: ListOptions): Promise<ContainerSummary[]> {
  const test = await filterTest(ctx, filters)
  const images = await imagesByName(ctx, ctx.containers.all())
  // Asking for a state, or for the last few, implies those that do not run.
  const isEverything = all || limit > 0 || (filters.get('status')?.length ?? 0) > 0
  const found = ctx.containers
    .all()
    .filter((container) => container.record.phase !== 'creating' && (isEverything || container.isRunning) && test(container))
    .toSorted((a, b) => (createdAt(a) < createdAt(b) ? 1 : -1))
  const shown = limit > 0 ? found.slice(0, limit) : found
  if (!size) return shown.map((container) => summaryOf(ctx, container, images))
  return together(shown.map(async (container) => ({ ...summaryOf(ctx, container, images), ...(await sizesOf(ctx, container)) })))
}
