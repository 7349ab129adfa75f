/** A line of /etc/hosts. */
export interface HostsEntry {
  address: string
  /** Separated by spaces. */
  names: string
}

const localhost: readonly HostsEntry[] = [
  { address: '127.0.0.1', names: 'localhost' },
  { address: '::1', names: 'localhost ip6-localhost ip6-loopback' },
  { address: 'fe00::', names: 'ip6-localnet' },
  { address: 'ff00::', names: 'ip6-mcastprefix' },
  { address: 'ff02::1', names: 'ip6-allnodes' },
  { address: 'ff02::2', names: 'ip6-allrouters' },
]

const write = (entries: readonly HostsEntry[]): string => entries.map(({ address, names }) => `${address}\t${names}\n`).join('')

/** A container's /etc/hosts as Docker writes it. @see hosts(5) */
export function buildHosts(entries: readonly HostsEntry[]): string {
  return write([...localhost, ...entries])
}

/** With lines added at the end that are not there yet; what else the container wrote stays. */
export function addHosts(text: string, entries: readonly HostsEntry[]): string {
  const lines = new Set(text.split('\n'))
  const missing = entries.filter(({ address, names }) => !lines.has(`${address}\t${names}`))
  return missing.length === 0 ? text : `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${write(missing)}`
}

/** Without those lines. */
export function removeHosts(text: string, entries: readonly HostsEntry[]): string {
  const gone = new Set(entries.map(({ address, names }) => `${address}\t${names}`))
  return text.split('\n').filter((line) => !gone.has(line)).join('\n') // prettier-ignore
}
