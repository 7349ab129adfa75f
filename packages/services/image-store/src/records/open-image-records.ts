import { openRecords, RecordsLog } from '@berth/core'
import { DocumentRecords } from './document-records.ts'
import { ImageRecords } from './image-records.ts'
import { LayerRecords } from './layer-records.ts'
import { LeaseRecords } from './lease-records.ts'
import { NameRecords } from './name-records.ts'
import { migrations } from './schema.ts'
import { Statements } from './statements.ts'

/** All that the store remembers. Every method is one transaction, which survives kill -9 at once, and a loss of power after {@link StoreRecords.sync}. */
export interface StoreRecords extends Disposable {
  readonly images: ImageRecords
  readonly names: NameRecords
  readonly layers: LayerRecords
  readonly documents: DocumentRecords
  readonly leases: LeaseRecords
  /** Records all that the work records, or nothing. */
  transact<T>(work: () => T): T
  /** Settles when all that was recorded before is on disk. */
  sync(): Promise<void>
}

export function openImageRecords(path: string): StoreRecords {
  return recordsOver(new Statements(openRecords({ path, migrations })), new RecordsLog(path))
}

export function recordsOver(sql: Statements, log: RecordsLog): StoreRecords {
  return {
    images: new ImageRecords(sql),
    names: new NameRecords(sql),
    layers: new LayerRecords(sql),
    documents: new DocumentRecords(sql),
    leases: new LeaseRecords(sql),
    transact: (work) => sql.transact(work),
    sync: () => log.sync(),
    [Symbol.dispose]() {
      log[Symbol.dispose]()
      sql[Symbol.dispose]()
    },
  }
}
