import { renameSync, writeFileSync } from 'node:fs'

/** Puts a file in the place of another, so that whoever opens it finds one of the two whole. */
export function replaceFile(path: string, content: string, mode: number): void {
  writeFileSync(`${path}.new`, content, { mode })
  renameSync(`${path}.new`, path)
}

/** One word of a shell's command line. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
