import { chmodSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isErrno, messageOf } from '@berth/core'
import { type Cli, usageError } from '../cli.ts'

type Table = Record<string, unknown>

export function dockerConfigDir({ io }: Pick<Cli, 'io'>): string {
  return io.env['DOCKER_CONFIG'] || join(io.env['HOME'] || homedir(), '.docker')
}

const isTable = (value: unknown): value is Table => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Docker's `config.json`, whose settings that are none of ours stay as they are. */
export class DockerConfig {
  readonly path: string
  readonly #settings: Table

  /** Throws `invalid-argument` for a file that is there and is none. */
  constructor(directory: string) {
    this.path = join(directory, 'config.json')
    this.#settings = read(this.path)
  }

  /** The program `docker-credential-<name>` that keeps the credentials for a server; undefined where this file does. */
  helperOf(server: string): string | undefined {
    const { credHelpers, credsStore } = this.#settings
    const own = isTable(credHelpers) ? (credHelpers[server] ?? credHelpers[server.replace(/^https?:\/\//, '').replace(/\/.*$/, '')]) : undefined
    const helper = own ?? credsStore
    return typeof helper === 'string' && helper !== '' ? helper : undefined
  }

  get servers(): string[] {
    return Object.keys(this.#auths)
  }

  /** `undefined` forgets the server. A helper's servers are listed here without what they are entered by. */
  set(server: string, entry: { auth?: string; identitytoken?: string } | undefined): void {
    const { [server]: _, ...others } = this.#auths
    this.#settings['auths'] = entry ? { ...others, [server]: entry } : others
  }

  /** Writes it whole or not at all, readable by its owner alone. */
  save(): void {
    const target = targetOf(this.path)
    const partial = `${target}.${process.pid}.partial`
    mkdirSync(join(this.path, '..'), { recursive: true, mode: 0o700 })
    try {
      writeFileSync(partial, `${JSON.stringify(this.#settings, undefined, '\t')}\n`, { mode: 0o600 })
      chmodSync(partial, 0o600)
      renameSync(partial, target)
    } catch (error) {
      rmSync(partial, { force: true })
      throw error
    }
  }

  get #auths(): Table {
    const { auths } = this.#settings
    return isTable(auths) ? auths : {}
  }
}

/** A link, as people have who keep their settings in a repository, stays one. */
function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return path
    throw error
  }
}

function read(path: string): Table {
  let settings: unknown
  try {
    settings = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return {}
    // The text of a parser's error would show a part of the file.
    throw usageError(error instanceof SyntaxError ? `${path} is not a configuration of docker: invalid JSON` : `cannot read ${path}: ${messageOf(error)}`)
  }
  if (!isTable(settings)) throw usageError(`${path} is not a configuration of docker: it is not a JSON object`)
  return settings
}
