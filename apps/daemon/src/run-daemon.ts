import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ApiServer, type ListenAddress } from '@berth/api-server'
import { BerthError, type Logger, messageOf } from '@berth/core'
import { createEngine } from '@berth/engine'
import { jsonLogger } from './json-logger.ts'
import type { DaemonOptions } from './options.ts'

/** Runs until SIGTERM or SIGINT. Throws what keeps it from starting. */
export async function runDaemon(options: DaemonOptions, version: string): Promise<void> {
  const logger = jsonLogger({ level: options.logLevel })
  const ending = endOfDaemon(logger)
  const engine = await createEngine({ ...options, version, logger })
  const server = new ApiServer({ backend: engine, version, experimental: options.experimental, logger })
  try {
    const group = groupId(options.group)
    // Who may use a socket in the exec root must be able to reach it.
    if (group !== undefined) chownSync(options.execRoot, 0, group)
    for (const address of addressesOf(options, group)) await server.listen(address)
    using _pidfile = writePidfile(options.pidfile)
    logger.info('berthd is ready', { version, hosts: options.hosts.join(' '), dataRoot: options.dataRoot })
    await ending
    logger.info('berthd ends')
    await server[Symbol.asyncDispose]()
  } finally {
    await server[Symbol.asyncDispose]()
    await engine.shutDown()
  }
}

/** Settles with the first signal to end. A second one does not wait for what the first began. */
async function endOfDaemon(logger: Logger): Promise<void> {
  process.on('unhandledRejection', (error) => logger.error('an unhandled failure', { error, stack: error instanceof Error ? error.stack : undefined }))
  process.on('SIGHUP', () => {})
  await new Promise<void>((resolve) => {
    let signals = 0
    const onSignal = (): void => {
      if (signals++ > 0) process.exit(1)
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

function addressesOf({ hosts }: DaemonOptions, gid: number | undefined): ListenAddress[] {
  return hosts.map((host): ListenAddress => {
    if (host.startsWith('unix://')) return { path: host.slice('unix://'.length), mode: 0o660, gid }
    const { hostname, port } = new URL(host.replace(/^tcp:/, 'http:').replace('//:', '//0.0.0.0:'))
    return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) }
  })
}

/** The group that may use the socket: the one asked for, which must exist, or `docker` where there is one. */
function groupId(group: string | undefined): number | undefined {
  if (group !== undefined && /^\d+$/.test(group)) return Number(group)
  const line = readFileSync('/etc/group', 'utf8').split('\n').find((text) => text.startsWith(`${group ?? 'docker'}:`))
  if (line !== undefined) return Number(line.split(':')[2])
  if (group === undefined) return undefined
  throw new BerthError('invalid-argument', 'GROUP_UNKNOWN', `there is no group '${group}'`)
}

function writePidfile(path: string): Disposable {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o711 })
    writeFileSync(path, `${process.pid}\n`, { mode: 0o644 })
  } catch (cause) {
    throw new BerthError('invalid-argument', 'PIDFILE', `cannot write the process ID to ${path}: ${messageOf(cause)}`, { cause })
  }
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) }
}
