import type { DatabaseSync } from 'node:sqlite'
import type { ContainerConfig, ExecConfig, Health, HostConfig } from '@berth/api-types'
import { openRecords } from '@berth/core'
import type { IdRange } from '@berth/linux'
import type { ContainerPhase, ContainerStatus, Intent } from './life/state-machine.ts'

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
  /** The machine's IDs that its user namespace has; absent in the machine's own. They are nobody else's until the record is gone. */
  userns?: IdRange
}

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
  /** What is being done to it; absent when nothing is. */
  intent?: Intent | undefined
  /** Milliseconds of the last wait of the restart policy; absent before the first. */
  restartDelay?: number | undefined
  /** When the restart policy starts it, in milliseconds since the epoch; while `restarting`. */
  restartAt?: number | undefined
  /** Of the last run; absent for a container that has no health check or never ran. */
  health?: NonNullable<Health> | undefined
  /** Its anonymous volumes go with it; from the recorded removal on. */
  removesVolumes?: boolean | undefined
}

export const zeroTime = '0001-01-01T00:00:00Z'

export interface ContainerRecord {
  id: string
  /** While it is being removed, the one it had: somebody else may have it by now. */
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
    removal: db.prepare('UPDATE containers SET phase = ?, name = ?, state = ? WHERE id = ?'),
    name: db.prepare('UPDATE containers SET name = ? WHERE id = ?'),
    remove: db.prepare('DELETE FROM containers WHERE id = ?'),
    all: db.prepare('SELECT id, name, phase, definition, state FROM containers'),
    insertExec: db.prepare('INSERT INTO execs (id, container, definition) VALUES (?, ?, ?)'),
    removeExec: db.prepare('DELETE FROM execs WHERE id = ?'),
    execs: db.prepare('SELECT definition FROM execs WHERE container = ?'),
  }
}

/** What takes the place of a name that was given up: no container can be called that. */
function formerName(id: string, name: string): string {
  return `${id}/${name}`
}

function nameOf(recorded: string): string {
  return recorded.slice(recorded.indexOf('/') + 1)
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

  /** The removal begins, or goes on without a client: the name is free from now on. */
  saveRemoval({ id, name, phase, state }: ContainerRecord): void {
    this.#statements.removal.run(phase, formerName(id, name), JSON.stringify(state), id)
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
      name: nameOf(String(row['name'])),
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
