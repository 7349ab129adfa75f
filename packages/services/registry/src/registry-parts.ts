import type { ContentStore } from '@berth/content-store'
import type { Blobs } from './blobs.ts'
import type { RegistryRecords } from './registry-records.ts'
import type { Uploads } from './uploads.ts'

/** What answers are made of. */
export interface Parts {
  records: RegistryRecords
  content: ContentStore
  blobs: Blobs
  uploads: Uploads
  maxManifestSize: number
}
