import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { BerthError, messageOf } from '@berth/core'
import type { EngineOptions } from '@berth/engine'
import { containerDefaults, ulimitsOfFile } from './container-defaults.ts'
import { type Level, levels } from './json-logger.ts'
import { logOptions, logOptionsOfFile } from './log-options.ts'
import { runtimeOptions, runtimesOfFile } from './runtime-options.ts'

/** How the daemon was asked to run, from its flags and its configuration file. */
export interface DaemonOptions {
  dataRoot: string
  execRoot: string
  /** Addresses to listen on: `unix:///path`, `tcp://address:port`. */
  hosts: string[]
  group: string | undefined
  pidfile: string
  logLevel: Level
  bip: string | undefined
  insecureRegistries: string[]
  registryMirrors: string[]
  certsDirs: string[]
  httpProxy: string | undefined
  httpsProxy: string | undefined
  noProxy: string | undefined
  maxConcurrentDownloads: number
  maxConcurrentUploads: number
  cgroupParent: string
  initPath: string | undefined
  runtimes: NonNullable<EngineOptions['runtimes']>
  defaultRuntime: string | undefined
  experimental: boolean
  /** What containers get that do not say. */
  containerDefaults: NonNullable<EngineOptions['containerDefaults']>
  /** Where the output of containers goes that do not say. */
  logConfig: NonNullable<EngineOptions['logConfig']>
  /** Which user namespace containers get that do not say. */
  userns: 'host' | 'private' | undefined
  usernsRemap: string | undefined
  cdiSpecDirs: string[] | undefined
  /** What happens to an attached exec whose client goes. */
  execOnDisconnect: 'keep' | 'kill'
  liveRestore: boolean
  /** Seconds that containers get to end when the daemon ends. */
  shutdownTimeout: number
}

type Kind = 'string' | 'list' | 'boolean' | 'number'

interface Flag {
  kind: Kind
  /** Key in the configuration file: dockerd's own names. */
  key: string
  short?: string
  help: string
}

const flags = {
  'data-root': { kind: 'string', key: 'data-root', help: 'directory of everything that lasts (/var/lib/berth)' },
  'exec-root': { kind: 'string', key: 'exec-root', help: 'directory of what belongs to this boot (/run/berth)' },
  host: { kind: 'list', key: 'hosts', short: 'H', help: 'address to listen on, several times: unix:///path or tcp://address:port (unix:///run/berth/berth.sock)' },
  group: { kind: 'string', key: 'group', short: 'G', help: 'group that may use the unix socket (docker, where it exists)' },
  pidfile: { kind: 'string', key: 'pidfile', help: "file for the daemon's process ID (berthd.pid in the exec root)" },
  'log-level': { kind: 'string', key: 'log-level', short: 'l', help: 'debug, info, warn or error (info)' },
  bip: { kind: 'string', key: 'bip', help: 'address and prefix of the default bridge (172.17.0.1/16)' },
  'insecure-registry': { kind: 'list', key: 'insecure-registries', help: 'registry (host[:port] or CIDR) that may be spoken to without TLS' },
  'registry-mirror': { kind: 'list', key: 'registry-mirrors', help: 'URL of a mirror of Docker Hub' },
  'certs-dir': { kind: 'list', key: 'certs-dirs', help: 'directory of how registries are reached: HOST/hosts.toml, or HOST/*.crt (/etc/berth/certs.d, /etc/docker/certs.d)' },
  'http-proxy': { kind: 'string', key: 'proxies.http-proxy', help: 'proxy for registries without TLS (HTTP_PROXY)' },
  'https-proxy': { kind: 'string', key: 'proxies.https-proxy', help: 'proxy for registries (HTTPS_PROXY)' },
  'no-proxy': { kind: 'string', key: 'proxies.no-proxy', help: 'hosts that are reached directly, with commas between (NO_PROXY)' },
  'max-concurrent-downloads': { kind: 'number', key: 'max-concurrent-downloads', help: 'layers that pulls receive at the same time (3)' },
  'max-concurrent-uploads': { kind: 'number', key: 'max-concurrent-uploads', help: 'layers that pushes send at the same time (3)' },
  'cgroup-parent': { kind: 'string', key: 'cgroup-parent', help: 'control group that holds those of the containers (/berth)' },
  'add-runtime': { kind: 'list', key: 'runtimes', help: 'OCI runtime that containers can choose, several times: NAME=PATH' },
  'default-runtime': { kind: 'string', key: 'default-runtime', help: 'OCI runtime of containers that do not say (runc)' },
  experimental: { kind: 'boolean', key: 'experimental', help: "the docker command line shows its experimental commands: 'checkpoint'" },
  'init-path': { kind: 'string', key: 'init-path', help: 'program that runs as process 1 with --init (tini)' },
  init: { kind: 'boolean', key: 'init', help: 'containers get an init process unless they say no' },
  'default-ulimit': { kind: 'list', key: 'default-ulimits', help: 'limit of processes of containers that do not set it, several times: NAME=SOFT[:HARD]' },
  'default-shm-size': { kind: 'string', key: 'default-shm-size', help: 'size of /dev/shm (64M)' },
  'default-ipc-mode': { kind: 'string', key: 'default-ipc-mode', help: 'IPC of containers: private, or shareable with others (private)' },
  'default-cgroupns-mode': { kind: 'string', key: 'default-cgroupns-mode', help: 'cgroup namespace of containers: host or private (private with cgroup v2, else host)' },
  'seccomp-profile': { kind: 'string', key: 'seccomp-profile', help: 'filter of system calls: builtin, unconfined or the path of a profile (builtin)' },
  'no-new-privileges': { kind: 'boolean', key: 'no-new-privileges', help: 'processes of containers gain no privileges unless they say so' },
  'log-driver': { kind: 'string', key: 'log-driver', help: 'where the output of containers goes that do not say: json-file, local, none, syslog, journald or fluentd (json-file)' },
  'log-opt': { kind: 'list', key: 'log-opts', help: "option of that log driver, several times: NAME=VALUE, as in max-size=10m" },
  userns: { kind: 'string', key: 'userns', help: "user namespace of containers that do not say: host, or private for one of each's own (host)" },
  'userns-remap': { kind: 'string', key: 'userns-remap', help: 'default or USER[:GROUP], whose IDs in /etc/subuid and /etc/subgid all containers share' },
  'cdi-spec-dir': { kind: 'list', key: 'cdi-spec-dirs', help: 'directory of CDI specifications, several times (/etc/cdi, /var/run/cdi)' },
  'exec-on-disconnect': { kind: 'string', key: 'exec-on-disconnect', help: 'what happens to an attached exec whose client goes: keep or kill (keep)' },
  'live-restore': { kind: 'boolean', key: 'live-restore', help: 'containers run on when the daemon ends in order; --live-restore=false stops them (true)' },
  'shutdown-timeout': { kind: 'number', key: 'shutdown-timeout', help: 'seconds that containers get to end with the daemon (15)' },
} as const satisfies Record<string, Flag>

type FlagName = keyof typeof flags
type Values = Partial<Record<FlagName, string | string[] | boolean>>

const names = Object.keys(flags) as FlagName[]

export function usage(): string {
  const lines = names.map((name) => {
    const { short, kind, help } = flags[name] as Flag
    return `  ${short ? `-${short}, ` : '    '}--${`${name}${kind === 'boolean' ? '' : ' VALUE'}`.padEnd(26)} ${help}`
  })
  return ['usage: berthd [options]', '', ...lines, '      --config-file VALUE         JSON file with the same settings (/etc/berth/daemon.json)', '      --version                   print the version', ''].join('\n')
}

function invalid(message: string): BerthError {
  return new BerthError('invalid-argument', 'DAEMON_OPTIONS_INVALID', message)
}

/** What the configuration file has as an object, as the list that the flag has. */
const listOfFile: Partial<Record<string, (value: unknown) => unknown>> = { 'default-ulimits': ulimitsOfFile, 'log-opts': logOptionsOfFile, runtimes: runtimesOfFile }

/** Settings of a configuration file by flag name. Throws `invalid-argument` for what it does not know. */
function readConfigFile(path: string, mustExist: boolean): Values {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (!mustExist) return {}
    throw new BerthError('invalid-argument', 'CONFIG_FILE_UNREADABLE', `cannot read the configuration file ${path}: ${messageOf(cause)}`, { cause })
  }
  let settings: unknown
  try {
    settings = JSON.parse(text)
  } catch (cause) {
    throw new BerthError('invalid-argument', 'CONFIG_FILE_INVALID', `the configuration file ${path} is not JSON: ${messageOf(cause)}`, { cause })
  }
  if (settings === null || typeof settings !== 'object' || Array.isArray(settings)) throw invalid(`the configuration file ${path} does not hold a JSON object`)
  const values: Values = {}
  for (const [key, given] of Object.entries(withoutNesting(settings as Record<string, unknown>))) {
    const value = listOfFile[key]?.(given) ?? given
    const name = names.find((candidate) => flags[candidate].key === key)
    if (!name) throw invalid(`the configuration file ${path} has an unknown setting: ${key}`)
    const { kind } = flags[name]
    const fits = kind === 'list' ? Array.isArray(value) && value.every((item) => typeof item === 'string') : typeof value === kind
    if (!fits) throw invalid(`the configuration file ${path}: ${key} must be a ${kind === 'list' ? 'list of strings' : kind}`)
    values[name] = kind === 'number' ? String(value) : (value as string | string[] | boolean)
  }
  return values
}

/** dockerd's `proxies` is an object of its own: its members become `proxies.http-proxy` and so on. */
function withoutNesting({ proxies, ...settings }: Record<string, unknown>): Record<string, unknown> {
  if (proxies === undefined) return settings
  if (proxies === null || typeof proxies !== 'object' || Array.isArray(proxies)) return { ...settings, proxies }
  return { ...settings, ...Object.fromEntries(Object.entries(proxies).map(([key, value]) => [`proxies.${key}`, value as unknown])) }
}

/** What the environment says where nothing else does, by the variable's name in either case. */
function proxyOf(env: Environment, name: string): string | undefined {
  return env[name] || env[name.toLowerCase()] || undefined
}

/** Takes `--flag=true` and `--flag=false` of boolean flags out of a command line, which `parseArgs` does not know. */
function takeSwitches(args: string[]): { args: string[]; switches: Values } {
  const switches: Values = {}
  const others = args.filter((arg) => {
    const [, name, value] = /^--([a-z-]+)=(true|false)$/.exec(arg) ?? []
    if (!names.some((known) => known === name && flags[known].kind === 'boolean')) return true
    switches[name as FlagName] = value === 'true'
    return false
  })
  return { args: others, switches }
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the command line. Throws `invalid-argument` for anything that is wrong in it or in the configuration file. */
export function parseOptions(args: string[], env: Environment = {}): DaemonOptions | 'help' | 'version' {
  const { args: rest, switches } = takeSwitches(args)
  let given: Values & { 'config-file'?: string; help?: boolean; version?: boolean }
  try {
    given = parseArgs({
      args: rest,
      allowPositionals: false,
      options: {
        ...Object.fromEntries(
          names.map((name) => {
            const { kind, short } = flags[name] as Flag
            return [name, { type: kind === 'boolean' ? ('boolean' as const) : ('string' as const), multiple: kind === 'list', ...(short ? { short } : {}) }]
          }),
        ),
        'config-file': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
      },
    }).values as typeof given
  } catch (cause) {
    throw new BerthError('invalid-argument', 'DAEMON_OPTIONS_INVALID', messageOf(cause), { cause })
  }
  Object.assign(given, switches)
  if (given.help) return 'help'
  if (given.version) return 'version'

  const file = readConfigFile(given['config-file'] ?? '/etc/berth/daemon.json', given['config-file'] !== undefined)
  const twice = names.filter((name) => given[name] !== undefined && file[name] !== undefined)
  if (twice.length > 0) throw invalid(`these are set both by a flag and in the configuration file: ${twice.join(', ')}`)
  const values: Values = { ...file, ...given }
  const text = (name: FlagName): string | undefined => values[name] as string | undefined
  const list = (name: FlagName): string[] => (values[name] as string[] | undefined) ?? []

  const logLevel = text('log-level') ?? 'info'
  if (!levels.includes(logLevel as Level)) throw invalid(`the log level '${logLevel}' is none of ${levels.join(', ')}`)
  const shutdownTimeout = Number(text('shutdown-timeout') ?? 15)
  if (!Number.isInteger(shutdownTimeout) || shutdownTimeout < 0) throw invalid(`the shutdown timeout '${text('shutdown-timeout')}' is not a number of seconds`)
  const count = (name: FlagName): number => {
    const value = Number(text(name) ?? 3)
    if (!Number.isInteger(value) || value < 1) throw invalid(`--${name} must be a number of at least 1, not '${text(name)}'`)
    return value
  }
  const execOnDisconnect = text('exec-on-disconnect') ?? 'keep'
  if (execOnDisconnect !== 'keep' && execOnDisconnect !== 'kill') throw invalid(`--exec-on-disconnect must be keep or kill, not '${execOnDisconnect}'`)
  const execRoot = absolute('exec-root', text('exec-root') ?? '/run/berth')
  return {
    dataRoot: absolute('data-root', text('data-root') ?? '/var/lib/berth'),
    execRoot,
    hosts: list('host').length > 0 ? list('host').map(address) : ['unix:///run/berth/berth.sock'],
    group: text('group'),
    pidfile: absolute('pidfile', text('pidfile') ?? `${execRoot}/berthd.pid`),
    logLevel: logLevel as Level,
    bip: text('bip'),
    insecureRegistries: list('insecure-registry'),
    registryMirrors: list('registry-mirror'),
    certsDirs: list('certs-dir').length > 0 ? list('certs-dir').map((path) => absolute('certs-dir', path)) : ['/etc/berth/certs.d', '/etc/docker/certs.d'],
    httpProxy: text('http-proxy') ?? proxyOf(env, 'HTTP_PROXY'),
    httpsProxy: text('https-proxy') ?? proxyOf(env, 'HTTPS_PROXY'),
    noProxy: text('no-proxy') ?? proxyOf(env, 'NO_PROXY'),
    maxConcurrentDownloads: count('max-concurrent-downloads'),
    maxConcurrentUploads: count('max-concurrent-uploads'),
    cgroupParent: text('cgroup-parent') ?? '/berth',
    initPath: text('init-path'),
    runtimes: runtimeOptions(list('add-runtime')),
    defaultRuntime: text('default-runtime'),
    experimental: (values.experimental as boolean | undefined) ?? false,
    containerDefaults: containerDefaults({
      ulimits: list('default-ulimit'), shmSize: text('default-shm-size'), init: values.init as boolean | undefined, seccompProfile: text('seccomp-profile'),
      noNewPrivileges: values['no-new-privileges'] as boolean | undefined, ipcMode: text('default-ipc-mode'), cgroupnsMode: text('default-cgroupns-mode'),
    }), // prettier-ignore
    logConfig: { driver: text('log-driver') ?? 'json-file', options: logOptions(list('log-opt')) },
    userns: usernsMode(text('userns')),
    usernsRemap: text('userns-remap') || undefined,
    cdiSpecDirs: list('cdi-spec-dir').length > 0 ? list('cdi-spec-dir').map((path) => absolute('cdi-spec-dir', path)) : undefined,
    execOnDisconnect,
    liveRestore: (values['live-restore'] as boolean | undefined) ?? true,
    shutdownTimeout,
  }
}

function usernsMode(mode: string | undefined): 'host' | 'private' | undefined {
  if (mode === undefined || mode === 'host' || mode === 'private') return mode
  throw invalid(`--userns must be host or private, not '${mode}'`)
}

function absolute(name: string, path: string): string {
  if (!path.startsWith('/')) throw invalid(`--${name} must be an absolute path, not '${path}'`)
  return path
}

function address(host: string): string {
  const [, port] = /^tcp:\/\/(?:\[[0-9a-f:.]+\]|[^:/\s]*):(\d{1,5})$/i.exec(host) ?? []
  if (/^unix:\/\/\/./.test(host) || Number(port) < 65_536) return host
  throw invalid(`cannot listen on '${host}': an address is unix:///path or tcp://address:port`)
}
