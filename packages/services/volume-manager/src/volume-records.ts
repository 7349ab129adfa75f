import { join } from 'node:path'
import type { MountPoint } from '@berth/api-types'
import { openRecords, transact } from '@berth/core'
import type { VolumeMount } from './volume-manager.ts'

export interface VolumeRecord {
  name: string
  driver: string
  labels: Record<string, string>
  options: Record<string, string>
  anonymous: boolean
  createdAt: number
}

/** A container's use of one mount, as it was asked for. */
export interface UseRecord {
  containerId: string
  point: MountPoint
  /** Present for volumes. */
  volume: string | undefined
  anonymous: boolean
  /** For the others: what to mount. */
  mount: VolumeMount | undefined
  /** Whether a missing source directory on the host is made. */
  createSource: boolean
}

const migrations = [
  `CREATE TABLE volumes (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
   CREATE TABLE uses (container TEXT PRIMARY KEY, records TEXT NOT NULL) STRICT`,
]

export interface VolumeRecords extends Disposable {
  volumes: Map<string, VolumeRecord>
  /** By container. */
  uses: Map<string, UseRecord[]>
  putVolume(volume: VolumeRecord): void
  deleteVolume(name: string): void
  putUses(containerId: string, uses: UseRecord[]): void
  deleteUses(containerId: string): void
}

/** What is known of volumes and of who uses them, in memory and on disk. */
export function openVolumeRecords(dir: string): VolumeRecords {
  const db = openRecords({ path: join(dir, 'volumes.db'), migrations })
  const statements = {
    putVolume: db.prepare('INSERT OR REPLACE INTO volumes VALUES (?, ?)'),
    deleteVolume: db.prepare('DELETE FROM volumes WHERE name = ?'),
    putUses: db.prepare('INSERT OR REPLACE INTO uses VALUES (?, ?)'),
    deleteUses: db.prepare('DELETE FROM uses WHERE container = ?'),
  }
  const volumes = new Map(db.prepare('SELECT * FROM volumes').all().map((row) => [String(row['name']), JSON.parse(String(row['record'])) as VolumeRecord]))
  const uses = new Map(db.prepare('SELECT * FROM uses').all().map((row) => [String(row['container']), JSON.parse(String(row['records'])) as UseRecord[]]))
  return {
    volumes,
    uses,
    putVolume(volume) {
      statements.putVolume.run(volume.name, JSON.stringify(volume))
      volumes.set(volume.name, volume)
    },
    deleteVolume(name) {
      statements.deleteVolume.run(name)
      volumes.delete(name)
    },
    putUses(containerId, records) {
      transact(db, () => statements.putUses.run(containerId, JSON.stringify(records)))
      uses.set(containerId, records)
    },
    deleteUses(containerId) {
      statements.deleteUses.run(containerId)
      uses.delete(containerId)
    },
    [Symbol.dispose]() {
      db.close()
    },
  }
}
