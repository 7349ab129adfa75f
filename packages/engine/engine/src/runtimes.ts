import { createHash } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { BerthError, type Logger } from '@berth/core'
import type { OciRuntime } from '@berth/oci-runtime'
import { shimRuntime } from '@berth/runtime-shim'

/** How a runtime is reached: a program that is used as runc is, or a containerd shim of its own. @see dockerd(8), runtimes */
export type RuntimeSettings = ProgramSettings | ShimSettings

export interface ProgramSettings {
  /** A program by its name or path: `crun`, `/usr/local/bin/runsc`. */
  path: string
  /** Arguments that it is given in front of all others. */
  runtimeArgs?: readonly string[] | undefined
}

export interface ShimSettings {
  /** `io.containerd.<name>.<version>`, whose program is `containerd-shim-<name>-<version>`, or the path of the program. */
  runtimeType: string
  /** A file of settings that the shim takes, or the settings themselves, and their type. */
  options?: { TypeUrl?: string; ConfigPath?: string; ConfigBody?: string } | undefined
}

/** The runtimes of an engine. Disposing lets go of all tasks. */
export interface Runtimes extends AsyncDisposable {
  /** By name, the default first. */
  readonly configured: ReadonlyMap<string, OciRuntime>
  /** By the name that containerd has for it; undefined for one whose shim this machine does not have. */
  find(name: string): OciRuntime | undefined
  /** As `info` shows them. */
  describe(): Record<string, { path?: string; runtimeArgs?: string[] }>
}

export interface RuntimesOptions {
  execRoot: string
  /** Beside `runc`, which is there always. */
  settings?: Readonly<Record<string, RuntimeSettings>> | undefined
  /** `runc` when absent. */
  defaultName?: string | undefined
  logger: Logger
}

/** Throws `invalid-argument` for a default that there is not. */
export function createRuntimes({ execRoot, settings = {}, defaultName = 'runc', logger }: RuntimesOptions): Runtimes {
  const all: Record<string, RuntimeSettings> = { runc: { path: 'runc' }, ...settings }
  const open = (name: string, one: RuntimeSettings): OciRuntime => shimRuntime({ ...shimOptions(one), name, stateDir: stateDirOf(execRoot, name), logger })
  const configured = new Map(Object.entries(all).map(([name, one]) => [name, open(name, one)]))
  const found = new Map<string, OciRuntime>()
  const find = (name: string): OciRuntime | undefined => {
    const known = configured.get(name) ?? found.get(name)
    if (known || !name.startsWith('io.containerd.') || !hasProgram(shimProgram(name))) return known
    const runtime = open(name, { runtimeType: name })
    found.set(name, runtime)
    return runtime
  }
  const byDefault = find(defaultName)
  if (!byDefault) throw new BerthError('invalid-argument', 'RUNTIME_UNKNOWN', `the default runtime ${defaultName} is not configured`)
  return {
    configured: new Map([[defaultName, byDefault], ...configured]),
    find,
    describe: () => Object.fromEntries(Object.entries(all).map(([name, one]) => [name, 'path' in one ? { path: one.path, ...(one.runtimeArgs?.length ? { runtimeArgs: [...one.runtimeArgs] } : {}) } : { path: shimProgram(one.runtimeType) }])),
    async [Symbol.asyncDispose]() {
      for (const runtime of [...configured.values(), ...found.values()]) await runtime[Symbol.asyncDispose]()
    },
  }
}

function shimOptions(settings: RuntimeSettings): Pick<Parameters<typeof shimRuntime>[0], 'shimBinary' | 'shimOptions' | 'runtimeBinary' | 'runtimeArgs'> {
  if ('path' in settings) return { runtimeBinary: settings.path, runtimeArgs: settings.runtimeArgs ?? [] }
  const { TypeUrl: typeUrl, ConfigPath: configPath, ConfigBody: configBody } = settings.options ?? {}
  return {
    shimBinary: shimProgram(settings.runtimeType),
    ...(settings.options ? { shimOptions: { ...(typeUrl ? { typeUrl } : {}), ...(configPath ? { configPath } : {}), ...(configBody ? { configBody } : {}) } } : {}),
  }
}

/** `io.containerd.runsc.v1` is `containerd-shim-runsc-v1`. */
function shimProgram(type: string): string {
  const parts = type.split('.')
  return type.startsWith('/') ? type : `containerd-shim-${parts.at(-2)}-${parts.at(-1)}`
}

/** Each has a directory of its own, which has to be short: there are sockets in it. */
function stateDirOf(execRoot: string, name: string): string {
  return join(execRoot, name === 'runc' ? 'shim' : `r-${createHash('sha256').update(name).digest('hex').slice(0, 6)}`)
}

function hasProgram(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
