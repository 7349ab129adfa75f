import { readFileSync } from 'node:fs'

/** The version of this program. The file stands at the same place beside the sources and the build. */
export function ownVersion(): string {
  return (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version
}
