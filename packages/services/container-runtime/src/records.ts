import type { DatabaseSync } from 'node:sqlite'
import type { ContainerConfig, ExecConfig, HostConfig } from '@berth/api-types'
import { openRecords } from '@berth/core'

/** What a container was made from; changes only with `update`. */
interface ContainerDefinition {
  /** RFC 3339, UTC, nanoseconds. */
  createdAt: string
  /** `sha256:…` of the image's config. */
  imageId: string
  /** The request merged with the image's config. */
  config: ContainerConfig
  host: HostConfig
  /** Name of the snapshotter that holds the root file system. */
  driver: string
  /** Name of the OCI runtime. */
  runtime: string
  /** `linux`, … */
  platform: string
}

/** `starting` is recorded while a task is being made, and is `created` to clients. */
type ContainerStatus = 'created' | 'starting' | 'running' | 'paused' | 'restarting' | 'exited' | 'dead'

export interface ContainerState {
  status: ContainerStatus
  pid: number
  exitCode: number
  error: string
  oomKilled: boolean
  /** RFC 3339; {@link zeroTime} for never. */
  startedAt: string
  finishedAt: string
  /** Starts made by the restart policy since the last one asked for. */
  restartCount: number
  /** A client stopped it: `unless-stopped` does not start it again. */
  manuallyStopped: boolean
}

export const zeroTime = '0001-01-01T00:00:00Z'

/** Creation and removal are recorded before they begin, so that a crash in between is cleaned up. */
type ContainerPhase = 'creating' | 'ready' | 'removing'

export interface ContainerRecord {
  id: string
  name: string
  phase: ContainerPhase
  definition: ContainerDefinition
  state: ContainerState
}

export interface ExecDefinition {
  id: string
  containerId: string
  config: ExecConfig
  /** Whether a client's input reaches it. */
  openStdin: boolean
}

const migrations = [
  `CREATE TABLE containers (
     id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, phase TEXT NOT NULL, definition TEXT NOT NULL, state TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE execs (
     id TEXT PRIMARY KEY, container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE, definition TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX execs_by_container ON execs (container)`,
]

function prepare(db: DatabaseSync) {
  return {
    insert: db.prepare('INSERT INTO containers (id, name, phase, definition, state) VALUES (?, ?, ?, ?, ?)'),
    phase: db.prepare('UPDATE containers SET phase = ? WHERE id = ?'),
    state: db.prepare('UPDATE containers SET state = ? WHERE id = ?'),
    definition: db.prepare('UPDATE containers SET definition = ? WHERE id = ?'),
    name: db.prepare('UPDATE containers SET name = ? WHERE id = ?'),
    remove: db.prepare('DELETE FROM containers WHERE id = ?'),
    all: db.prepare('SELECT id, name, phase, definition, state FROM containers'),
    insertExec: db.prepare('INSERT INTO execs (id, container, definition) VALUES (?, ?, ?)'),
    removeExec: db.prepare('DELETE FROM execs WHERE id = ?'),
    execs: db.prepare('SELECT definition FROM execs WHERE container = ?'),
  }
}

/** The containers and running execs on disk; every call is one transaction. */
export class ContainerRecords implements Disposable {
  readonly #db: DatabaseSync
  readonly #statements: ReturnType<typeof prepare>

  constructor(path: string) {
    this.#db = openRecords({ path, migrations })
    this.#statements = prepare(this.#db)
  }

  insert({ id, name, phase, definition, state }: ContainerRecord): void {
    this.#statements.insert.run(id, name, phase, JSON.stringify(definition), JSON.stringify(state))
  }

  savePhase({ id, phase }: ContainerRecord): void {
    this.#statements.phase.run(phase, id)
  }

  saveState({ id, state }: ContainerRecord): void {
    this.#statements.state.run(JSON.stringify(state), id)
  }

  saveDefinition({ id, definition }: ContainerRecord): void {
    this.#statements.definition.run(JSON.stringify(definition), id)
  }

  saveName(id: string, name: string): void {
    this.#statements.name.run(name, id)
  }

  remove(id: string): void {
    this.#statements.remove.run(id)
  }

  all(): ContainerRecord[] {
    return this.#statements.all.all().map((row) => ({
      id: String(row['id']),
      name: String(row['name']),
      phase: String(row['phase']) as ContainerPhase,
      definition: JSON.parse(String(row['definition'])) as ContainerDefinition,
      state: JSON.parse(String(row['state'])) as ContainerState,
    }))
  }

  insertExec(exec: ExecDefinition): void {
    this.#statements.insertExec.run(exec.id, exec.containerId, JSON.stringify(exec))
  }

  removeExec(id: string): void {
    this.#statements.removeExec.run(id)
  }

  execsOf(containerId: string): ExecDefinition[] {
    return this.#statements.execs.all(containerId).map((row) => JSON.parse(String(row['definition'])) as ExecDefinition)
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}
