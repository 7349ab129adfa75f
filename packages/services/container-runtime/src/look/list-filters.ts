import { isKind } from '@berth/core'
import type { Container } from '../container.ts'
import type { Context } from '../context.ts'
import { compilePatterns } from './name-pattern.ts'
import { invalid } from '../create/validate-config.ts'

/** Docker's `filters`: key to the wanted values. */
export type Filters = ReadonlyMap<string, readonly string[]>

type Test = (container: Container) => boolean
type MakeTest = (ctx: Context, values: readonly string[]) => Test | Promise<Test>

const statuses = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']
const healths = ['none', 'starting', 'healthy', 'unhealthy']
const booleans: Record<string, boolean> = { true: true, '1': true, false: false, '0': false }

/** `key` or `key=value`. */
export function matchesLabel(labels: Readonly<Record<string, string>> | undefined, wanted: string): boolean {
  const at = wanted.indexOf('=')
  const key = at < 0 ? wanted : wanted.slice(0, at)
  const value = labels && Object.hasOwn(labels, key) ? labels[key] : undefined
  return value !== undefined && (at < 0 || value === wanted.slice(at + 1))
}

/** Text that identifies a container's moment of creation among all others. */
const createdAt = ({ record }: Container): string => record.definition.createdAt

/** Each value as a regular expression, with the name's slash or without; or the name itself. */
async function nameTest(_ctx: Context, values: readonly string[]): Promise<Test> {
  const matches = await compilePatterns(values)
  return ({ name }) => values.includes(name) || values.includes(`/${name}`) || matches(name) || matches(`/${name}`)
}

function labelTest(_ctx: Context, values: readonly string[]): Test {
  return ({ record }) => values.every((value) => matchesLabel(record.definition.config.Labels, value))
}

function statusTest(_ctx: Context, values: readonly string[]): Test {
  for (const value of values) if (!statuses.includes(value)) throw invalid(`invalid filter 'status=${value}'`)
  return ({ status }) => values.includes(status)
}

function healthTest(_ctx: Context, values: readonly string[]): Test {
  for (const value of values) if (!healths.includes(value)) throw invalid(`unrecognized filter value for health: ${value}`)
  return ({ state }) => values.includes(state.health?.Status ?? 'none')
}

function exitedTest(_ctx: Context, values: readonly string[]): Test {
  for (const value of values) if (!/^[-+]?\d{1,9}$/.test(value)) throw invalid(`invalid filter 'exited=${value}'`)
  const codes = new Set(values.map(Number))
  return ({ state }) => (state.status === 'exited' || state.status === 'dead') && codes.has(state.exitCode)
}

/** Whether an image has all layers of another below its own. An image without layers is nobody's ancestor. */
const isOver = (layers: readonly string[], below: readonly string[]): boolean => below.length > 0 && layers.length > below.length && below.every((layer, index) => layers[index] === layer)

/** Images found by name or ID, and all that stand on one of them. */
async function ancestorTest({ deps, containers }: Context, values: readonly string[]): Promise<Test> {
  const resolve = async (ref: string): Promise<{ id: string; layers: readonly string[] } | undefined> => {
    try {
      const { id, config } = await deps.images.resolve(ref)
      return { id, layers: config.rootfs.diff_ids }
    } catch (error) {
      if (!isKind(error, 'not-found', 'invalid-argument')) throw error
      return undefined
    }
  }
  const ancestors = (await Promise.all(values.map(resolve))).filter((image) => image !== undefined)
  const wanted = new Set(ancestors.map(({ id }) => id))
  if (ancestors.length > 0) {
    for (const id of new Set(containers.all().map(({ record }) => record.definition.imageId))) {
      const layers = wanted.has(id) ? undefined : (await resolve(id))?.layers
      if (layers && ancestors.some((below) => isOver(layers, below.layers))) wanted.add(id)
    }
  }
  return ({ record }) => wanted.has(record.definition.imageId)
}

/** Made before the first of them, or after the last. */
const relativeTest =
  (isWanted: (created: string, other: string) => boolean): MakeTest =>
  ({ containers }, values) => {
    const others = values.map((ref) => createdAt(containers.resolve(ref)))
    return (container) => others.every((other) => isWanted(createdAt(container), other))
  }

function networkTest(ctx: Context, values: readonly string[]): Test {
  return ({ id }) =>
    Object.entries(ctx.deps.networks.settings(id).Networks ?? {}).some(([name, endpoint]) => values.some((value) => value === name || (value !== '' && (endpoint?.NetworkID ?? '').startsWith(value))))
}

function volumeTest(ctx: Context, values: readonly string[]): Test {
  return ({ id }) => ctx.deps.volumes.mountPoints(id).some(({ Name, Source, Destination }) => values.some((value) => value !== '' && (value === (Name || Source) || value === Destination)))
}

interface PortRange {
  first: number
  last: number
  protocol: string
}

/** `80`, `80/tcp`, `8000-8010/udp`. */
function portRange(key: string, text: string): PortRange {
  if (text.includes(':')) throw invalid(`filter for '${key}' should not contain ':': ${text}`)
  const [, first, last = first, protocol = 'tcp'] = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(\w+))?$/.exec(text) ?? []
  if (first === undefined || Number(last) > 65_535 || Number(first) > Number(last)) throw invalid(`error while looking up for ${key} ${text}: invalid port`)
  return { first: Number(first), last: Number(last), protocol }
}

/** As in Docker, a container with any of the published or any of the exposed ports is wanted. */
function portsTest(ctx: Context, published: readonly string[], exposed: readonly string[]): Test {
  const [publish, expose] = [published.map((text) => portRange('publish', text)), exposed.map((text) => portRange('expose', text))]
  const isIn = (ranges: readonly PortRange[], port: number, protocol: string | undefined): boolean => ranges.some(({ first, last, protocol: wanted }) => wanted === protocol && port >= first && port <= last)
  return ({ id, record }) => {
    const ports = Object.entries(ctx.deps.networks.settings(id).Ports ?? {})
    const inside = [...ports.map(([port]) => port), ...Object.keys(record.definition.config.ExposedPorts ?? {})]
    return (
      inside.some((port) => isIn(expose, Number.parseInt(port, 10), port.split('/')[1])) ||
      ports.some(([port, bindings]) => bindings?.some(({ HostPort }) => isIn(publish, Number(HostPort), port.split('/')[1])))
    )
  }
}

/** No container here is a task of a cluster's service. */
function taskTest(_ctx: Context, values: readonly string[]): Test {
  const wanted = new Set(values.map((value) => booleans[value]))
  if (wanted.has(undefined) || wanted.size > 1) throw invalid(`invalid filter 'is-task=[${values.join(' ')}]'`)
  return () => wanted.has(false)
}

const tests: Record<string, MakeTest> = {
  id: (_ctx, values) => ({ id }) => values.some((value) => id.startsWith(value)),
  name: nameTest,
  label: labelTest,
  status: statusTest,
  health: healthTest,
  exited: exitedTest,
  ancestor: ancestorTest,
  before: relativeTest((created, other) => created < other),
  since: relativeTest((created, other) => created > other),
  network: networkTest,
  volume: volumeTest,
  'is-task': taskTest,
  // Of Windows: it changes nothing here, as in Docker.
  isolation: () => () => true,
} // prettier-ignore

/** A test for all filters: each key must match by one of its values, labels by all of theirs. Throws `invalid-argument` with Docker's text, and `not-found`. */
export async function filterTest(ctx: Context, filters: Filters): Promise<Test> {
  const given = [...filters].filter(([, values]) => values.length > 0)
  for (const [key] of filters) if (!Object.hasOwn(tests, key) && key !== 'publish' && key !== 'expose') throw invalid(`invalid filter '${key}'`)
  const made = await Promise.all(given.map(async ([key, values]) => tests[key]?.(ctx, values)))
  const [published = [], exposed = []] = [filters.get('publish'), filters.get('expose')]
  const all = [...made.filter((test) => test !== undefined), ...(published.length + exposed.length > 0 ? [portsTest(ctx, published, exposed)] : [])]
  return (container) => all.every((test) => test(container))
}
