import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contentStoreContract } from '../src/contract.ts'
import { openContentStore } from '../src/index.ts'
import { memoryContent } from '../src/memory.ts'

contentStoreContract('files', async () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-content-'))
  return { open: () => openContentStore({ root }), close: async () => rmSync(root, { recursive: true }) }
})

contentStoreContract('memory', async () => ({ open: async () => memoryContent(), close: async () => {} }), { persistent: false })
