import { hostname } from 'node:os'
import { BerthError } from '@berth/core'
import type { LoggedContainer } from './index.ts'
import { NamePattern } from './name-pattern.ts'

type Options = Readonly<Record<string, string>>

/** How output is handed to a log that cannot take it at the moment. */
export interface DeliveryOptions {
  /** `blocking`: the container waits. `non-blocking`: output waits in memory, and the oldest is dropped when there is too much. */
  mode: 'blocking' | 'non-blocking'
  /** Bytes that wait in memory at most; of use when not blocking. */
  maxBufferSize: number
}

/** Options that choose what is told with each entry. */
export const attributeOptions = ['tag', 'labels', 'labels-regex', 'env', 'env-regex'] as const
/** Options that whoever writes to the log keeps; see {@link DeliveryOptions}. */
const deliveryOptions = ['mode', 'max-buffer-size'] as const

const defaultBufferSize = 1024 * 1024
const patternNames = ['labels-regex', 'env-regex'] as const

/**
 * Checks the options that all drivers take, and that there are no others but those of the driver. Throws `invalid-argument` naming the option.
 *
 * @param own names of the driver's own options
 */
export function checkOptions(driver: string, options: Options, own: readonly string[]): void {
  const accepted = new Set<string>([...attributeOptions, ...deliveryOptions, ...own])
  for (const name of Object.keys(options)) if (!accepted.has(name)) throw invalidOption(`unknown log opt '${name}' for ${driver} log driver`)
  parseDelivery(options)
  for (const name of patternNames) patternOf(options, name)
  if (options['tag']) checkTag(options['tag'])
}

/** Throws `invalid-argument` as {@link checkOptions} does. */
export function parseDelivery(options: Options): DeliveryOptions {
  const { mode = '', 'max-buffer-size': size } = options
  if (mode !== '' && mode !== 'blocking' && mode !== 'non-blocking') throw invalidOption(`logger: logging mode not supported: ${mode}`)
  if (size !== undefined && mode !== 'non-blocking') throw invalidOption(`logger: max-buffer-size option is only supported with 'mode=non-blocking'`)
  return { mode: mode || 'blocking', maxBufferSize: size === undefined ? defaultBufferSize : parseSize('max-buffer-size', size, 1024) }
}

/**
 * What is told with each entry of a container: its labels and environment variables that the options name, and the `tag` if there is one.
 * Sorted by name.
 */
export function attributesOf(container: LoggedContainer, options: Options): Record<string, string> {
  const environment = Object.fromEntries(
    container.env.flatMap((variable) => {
      const end = variable.indexOf('=')
      return end === -1 ? [] : [[variable.slice(0, end), variable.slice(end + 1)]]
    }),
  )
  const found = new Map<string, string>()
  const choose = (values: Options, list: string | undefined, pattern: NamePattern | undefined): void => {
    const names = new Set(list?.split(','))
    for (const [name, value] of Object.entries(values)) if (names.has(name) || pattern?.test(name)) found.set(name, value)
  }
  choose(container.labels, options['labels'], patternOf(options, 'labels-regex'))
  choose(environment, options['env'], patternOf(options, 'env-regex'))
  const tag = tagOf(container, options, '')
  if (tag !== '') found.set('tag', tag)
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

const placeholder = /\{\{(.*?)\}\}/gs
const tagFields: Record<string, (container: LoggedContainer) => string> = {
  ID: ({ id }) => id.slice(0, 12),
  FullID: ({ id }) => id,
  Name: ({ name }) => name.replace(/^\//, ''),
  ImageID: ({ imageId }) => imageId.slice(0, 12),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ imageName }) => imageName,
  DaemonName: () => 'berth',
  Command: ({ command }) => command.join(' '),
  Hostname: () => hostname(),
}

/** The option `tag`, or else `byDefault`, with its placeholders replaced: `{{.Name}}/{{.ID}}` and so on, Docker's. */
export function tagOf(container: LoggedContainer, options: Options, byDefault: string): string {
  return (options['tag'] || byDefault).replace(placeholder, (_, inner: string) => fieldOf(inner)(container))
}

function checkTag(tag: string): void {
  for (const [, inner = ''] of tag.matchAll(placeholder)) fieldOf(inner)
  if (tag.replace(placeholder, '').includes('{{')) throw invalidOption(`invalid tag '${tag}': a {{ is not closed`)
}

function fieldOf(inner: string): (container: LoggedContainer) => string {
  const [, name = ''] = /^-?\s*\.(\w+)\s*-?$/.exec(inner.trim()) ?? []
  const field = Object.hasOwn(tagFields, name) ? tagFields[name] : undefined
  if (!field) throw invalidOption(`invalid tag: {{${inner}}} is none of ${Object.keys(tagFields).map((known) => `{{.${known}}}`).join(', ')}`)
  return field
}

function patternOf(options: Options, name: (typeof patternNames)[number]): NamePattern | undefined {
  const source = options[name]
  if (!source) return undefined
  try {
    return new NamePattern(source)
  } catch (cause) {
    throw invalidOption(`invalid ${name}: ${(cause as Error).message}`)
  }
}

/** A number of bytes as in `10m`: `unit` is what a k stands for, 1000 or 1024. Throws `invalid-argument` for anything but a positive one. */
export function parseSize(name: string, text: string, unit: 1000 | 1024): number {
  const [, number, letter = ''] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text) ?? []
  const bytes = Math.floor(Number(number) * unit ** ' kmgtp'.indexOf(letter.toLowerCase() || ' '))
  if (!(bytes > 0)) throw invalidOption(`invalid ${name} ${JSON.stringify(text)}: ${name} must be a positive number of bytes, as in 10m`)
  return bytes
}

/** A number of at least `least`. */
export function parseCount(name: string, text: string, least: number): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : NaN
  if (!(count >= least)) throw invalidOption(`invalid ${name} ${JSON.stringify(text)}: ${name} cannot be less than ${least}`)
  return count
}

/** The words that Go's `strconv.ParseBool` takes. */
export function parseFlag(name: string, text: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false
  throw invalidOption(`invalid ${name} ${JSON.stringify(text)}: it is true or false`)
}

export const invalidOption = (message: string): BerthError => new BerthError('invalid-argument', 'LOG_OPTION_INVALID', message)
