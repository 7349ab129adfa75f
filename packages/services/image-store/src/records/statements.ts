import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import { transact } from '@berth/core'

export type Row = Record<string, SQLOutputValue>
type Parameter = string | number | null

/** Prepared statements over one database, each prepared once. */
export class Statements implements Disposable {
  readonly #db: DatabaseSync
  readonly #prepared = new Map<string, StatementSync>()
  #isInTransaction = false

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  [Symbol.dispose](): void {
    this.#prepared.clear()
    this.#db.close()
  }

  run(sql: string, ...parameters: Parameter[]): void {
    this.#statement(sql).run(...parameters)
  }

  get(sql: string, ...parameters: Parameter[]): Row | undefined {
    return this.#statement(sql).get(...parameters)
  }

  all(sql: string, ...parameters: Parameter[]): Row[] {
    return this.#statement(sql).all(...parameters)
  }

  /** The first column, as strings. */
  column(sql: string, ...parameters: Parameter[]): string[] {
    return this.all(sql, ...parameters).map((row) => String(Object.values(row)[0]))
  }

  /** The one number that a query answers. */
  number(sql: string, ...parameters: Parameter[]): number {
    return Number(Object.values(this.get(sql, ...parameters) ?? {})[0] ?? 0)
  }

  /** Records all that the work records, or nothing. Within another transaction it is a part of that. */
  transact<T>(work: () => T): T {
    if (this.#isInTransaction) return work()
    this.#isInTransaction = true
    try {
      return transact(this.#db, work)
    } finally {
      this.#isInTransaction = false
    }
  }

  #statement(sql: string): StatementSync {
    let statement = this.#prepared.get(sql)
    if (!statement) this.#prepared.set(sql, (statement = this.#db.prepare(sql)))
    return statement
  }
}
