import { newId } from '@berth/core'
import type { Statements } from './statements.ts'

export type LeaseKind = 'blob' | 'layer'

/** Leases: what work in progress needs, by digest (`blob`) or chainID (`layer`), from before it is there. */
export class LeaseRecords {
  readonly #sql: Statements

  constructor(sql: Statements) {
    this.#sql = sql
  }

  open(purpose: string): string {
    const id = newId()
    this.#sql.run('INSERT INTO leases (id, purpose, started_ms, is_alive) VALUES (?, ?, ?, 1)', id, purpose, Date.now())
    return id
  }

  add(leaseId: string, kind: LeaseKind, items: readonly string[]): void {
    this.#sql.transact(() => {
      for (const item of items) {
        this.#sql.run('INSERT INTO lease_items (lease_id, kind, item) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', leaseId, kind, item)
      }
    })
  }

  /** Lets a lease protect nothing any more. It still names what it held, until {@link forgetDead}. */
  end(leaseId: string): void {
    this.#sql.run('UPDATE leases SET is_alive = 0 WHERE id = ?', leaseId)
  }

  /** Forgets a lease all of whose items are needed by what was recorded under it. */
  fulfil(leaseId: string): void {
    this.#sql.run('DELETE FROM leases WHERE id = ?', leaseId)
  }

  /** At the start: whatever was under way is not any more. */
  endAll(): void {
    this.#sql.run('UPDATE leases SET is_alive = 0')
  }

  /** Blobs that pulls held whose leases are dead: what another try can go on from. */
  resumable(): Set<string> {
    return new Set(this.#sql.column(`SELECT item FROM lease_items JOIN leases ON leases.id = lease_id WHERE kind = 'blob' AND is_alive = 0 AND purpose LIKE 'pull %'`))
  }

  /** Forgets dead leases, except those with a layer of `remaining`. */
  forgetDead(remaining: readonly string[]): void {
    this.#sql.run(
      `DELETE FROM leases WHERE is_alive = 0 AND NOT EXISTS (
         SELECT 1 FROM lease_items WHERE lease_id = leases.id AND kind = 'layer' AND item IN (SELECT value FROM json_each(?)))`,
      JSON.stringify(remaining),
    )
  }
}
