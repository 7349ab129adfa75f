import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeVolumeDriver } from '@berth/volume-driver/contract'
import { localVolumes } from '../src/index.ts'

describeVolumeDriver('local', async () => {
  const root = mkdtempSync(join(tmpdir(), 'volume-local-'))
  const opened: Disposable[] = []
  return {
    async open() {
      const driver = localVolumes({ root })
      opened.push(driver)
      return driver
    },
    async close() {
      for (const driver of opened) driver[Symbol.dispose]()
      rmSync(root, { recursive: true })
    },
  }
})
