import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeLogDriver, loggedContainer } from '@berth/log-driver/contract'
import { localLogDriver } from '../src/index.ts'

const variants: Record<string, string>[] = [{}, { 'max-size': '1m', 'max-file': '3', compress: 'false' }, { 'max-size': '16k', 'max-file': '200' }]
for (const options of variants) {
  describeLogDriver(`local ${JSON.stringify(options)}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-log-local-'))
    return {
      driver: localLogDriver(),
      container: loggedContainer(directory),
      options,
      async [Symbol.asyncDispose]() {
        rmSync(directory, { recursive: true })
      },
    }
  })
}
