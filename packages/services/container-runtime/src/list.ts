import type { ContainerSummary } from '@berth/api-types'
import { isKind } from '@berth/core'
import type { Container } from './container.ts'
import { type Context, together } from './context.ts'
import { humanDuration } from './human-duration.ts'
import { commandOf, sizesOf } from './inspect.ts'
import { invalid } from './validate-config.ts'

/** Docker's `filters`: key to the wanted values. */
export type Filters = ReadonlyMap<string, readonly string[]>

export interface ListOptions {
  all: boolean
  limit?: number
  size: boolean
  filters: Filters
}

type Test = (container: Container) => boolean

const statuses = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']
const healths = ['none', 'starting', 'healthy', 'unhealthy']

/** `Up 3 seconds (healthy)`, `Exited (1) 2 hours ago`, … */
function statusLine(container: Container): string {
  const { state, status, health } = container
  const since = (time: string): string => humanDuration(Date.now() - Date.parse(time))
  switch (status) {
    case 'running': {
      const suffix = health && (health.status === 'starting' ? ' (health: starting)' : ` (${health.status})`)
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

/** `key` or `key=value`. */
export function matchesLabel(labels: Readonly<Record<string, string>> | undefined, wanted: string): boolean {
  const at = wanted.indexOf('=')
  const key = at < 0 ? wanted : wanted.slice(0, at)
  const value = labels?.[key]
  return value !== undefined && (at < 0 || value === wanted.slice(at + 1))
}

function nameTest(pattern: string): Test {
  let matches: (name: string) => boolean
  try {
    const expression = new RegExp(pattern)
    matches = (name) => expression.test(name)
  } catch {
    matches = (name) => name.includes(pattern)
  }
  return ({ name }) => name === pattern || matches(name) || matches(`/${name}`)
}

/** `80`, `80/tcp`, `8000-8010/udp`. */
function portTest(text: string): (port: number, protocol: string) => boolean {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(text)
  if (!match) throw invalid(`invalid filter 'publish': invalid port: ${text}`)
  const [, first, last, wanted = 'tcp'] = match
  return (port, protocol) => protocol === wanted && port >= Number(first) && port <= Number(last ?? first)
}

function networkTest(ctx: Context, wanted: string): Test {
  return ({ id }) =>
    Object.entries(ctx.deps.networks.settings(id).Networks ?? {}).some(([name, endpoint]) => name === wanted || (endpoint?.NetworkID ?? '').startsWith(wanted) && wanted !== '')
}

function volumeTest(ctx: Context, wanted: string): Test {
  return ({ id }) => ctx.deps.volumes.mountPoints(id).some(({ Name, Destination }) => Name === wanted || Destination === wanted)
}

async function ancestorTest({ deps }: Context, ref: string): Promise<Test> {
  try {
    const { id } = await deps.images.resolve(ref)
    return ({ record }) => record.definition.imageId === id
  } catch (error) {
    if (!isKind(error, 'not-found', 'invalid-argument')) throw error
    return ({ record }) => record.definition.config.Image === ref
  }
}

function relativeTest({ containers }: Context, key: 'before' | 'since', ref: string): Test {
  const other = createdAt(containers.resolve(ref))
  return (container) => (key === 'before' ? createdAt(container) < other : createdAt(container) > other)
}

async function testOf(ctx: Context, key: string, value: string): Promise<Test> {
  switch (key) {
    case 'id':
      return ({ id }) => id.startsWith(value)
    case 'name':
      return nameTest(value)
    case 'label':
      return ({ record }) => matchesLabel(record.definition.config.Labels, value)
    case 'status':
      if (!statuses.includes(value)) throw invalid(`invalid filter 'status=${value}'`)
      return ({ status }) => status === value
    case 'health':
      if (!healths.includes(value)) throw invalid(`invalid filter 'health=${value}'`)
      return ({ health }) => (health?.status ?? 'none') === value
    case 'exited': {
      if (!/^-?\d{1,9}$/.test(value)) throw invalid(`invalid filter 'exited=${value}'`)
      return ({ state, isRunning }) => !isRunning && state.status === 'exited' && state.exitCode === Number(value)
    }
    case 'ancestor':
      return ancestorTest(ctx, value)
    case 'before':
    case 'since':
      return relativeTest(ctx, key, value)
    case 'network':
      return networkTest(ctx, value)
    case 'volume':
      return volumeTest(ctx, value)
    case 'publish': {
      const matches = portTest(value)
      return ({ id }) =>
        Object.entries(ctx.deps.networks.settings(id).Ports ?? {}).some(([port, bindings]) => bindings?.some(({ HostPort }) => matches(Number(HostPort), port.split('/')[1] ?? 'tcp')))
    }
    case 'expose': {
      const matches = portTest(value)
      return ({ record }) =>
        Object.keys(record.definition.config.ExposedPorts ?? {}).some((port) => matches(Number(port.split('/')[0]), port.split('/')[1] ?? 'tcp'))
    }
    case 'is-task':
      return () => value === 'false' || value === '0'
    case 'isolation':
      return () => value === 'default'
    default:
      throw invalid(`invalid filter '${key}'`)
  }
}

/** A test for all filters: each key must match by one of its values, labels by all of theirs. */
async function filterTest(ctx: Context, filters: Filters): Promise<Test> {
  const tests = await Promise.all(
    [...filters].filter(([, values]) => values.length > 0).map(async ([key, values]): Promise<Test> => {
      const alternatives = await Promise.all(values.map((value) => testOf(ctx, key, value)))
      return key === 'label' ? (container) => alternatives.every((test) => test(container)) : (container) => alternatives.some((test) => test(container))
    }),
  )
  return (container) => tests.every((test) => test(container))
}

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
    HostConfig: { NetworkMode: definition.host.NetworkMode },
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
