import { openRecords } from '@berth/core'
import { DocumentRecords } from './document-records.ts'
import { ImageRecords } from './image-records.ts'
import { LayerRecords } from './layer-records.ts'
import { LeaseRecords } from './lease-records.ts'
import { NameRecords } from './name-records.ts'
import { migrations } from './schema.ts'
import { Statements } from './statements.ts'

/** All that the store remembers. Every method is one transaction, which survives a loss of power. */
export interface StoreRecords extends Disposable {
  readonly images: ImageRecords
  readonly names: NameRecords
  readonly layers: LayerRecords
  readonly documents: DocumentRecords
  readonly leases: LeaseRecords
  /** Records all that the work records, or nothing. */
  transact<T>(work: () => T): T
}

export function openImageRecords(path: string): StoreRecords {
  return recordsOver(new Statements(openRecords({ path, migrations, durability: 'power' })))
}

export function recordsOver(sql: Statements): StoreRecords {
  return {
    images: new ImageRecords(sql),
    names: new NameRecords(sql),
    layers: new LayerRecords(sql),
    documents: new DocumentRecords(sql),
    leases: new LeaseRecords(sql),
    transact: (work) => sql.transact(work),
    [Symbol.dispose]: () => sql[Symbol.dispose](),
  }
}
