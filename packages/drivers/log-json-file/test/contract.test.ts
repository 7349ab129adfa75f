import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeLogDriver, loggedContainer } from '@berth/log-driver/contract'
import { jsonFileLogDriver } from '../src/index.ts'

const variants: Record<string, string>[] = [{}, { 'max-size': '1m', 'max-file': '3' }, { 'max-size': '16k', 'max-file': '200', compress: 'true' }]
for (const options of variants) {
  describeLogDriver(`json-file ${JSON.stringify(options)}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-json-file-'))
    return {
      driver: jsonFileLogDriver(),
      container: loggedContainer(directory),
      options,
      async [Symbol.asyncDispose]() {
        rmSync(directory, { recursive: true })
      },
    }
  })
}
