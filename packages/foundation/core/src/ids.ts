import { randomBytes } from 'node:crypto'

/** A fresh ID of 64 hexadecimal digits, as containers, networks and execs carry. */
export function newId(): string {
  for (;;) {
    const id = randomBytes(32).toString('hex')
    // A short ID of digits alone could be read as a number (a host name, a YAML value).
    if (!/^\d{12}/.test(id)) return id
  }
}

/** The first twelve digits, as lists show them. */
export function shortId(id: string): string {
  return id.slice(0, 12)
}
