import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeVolumeDriver } from '../src/contract.ts'
import { memoryVolumeDriver } from '../src/memory.ts'

describeVolumeDriver(
  'memory',
  async () => {
    const root = mkdtempSync(join(tmpdir(), 'volume-memory-'))
    return { open: async () => memoryVolumeDriver({ root }), close: async () => rmSync(root, { recursive: true }) }
  },
  { persistent: false },
)
