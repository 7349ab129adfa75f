import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'

interface ServeFlags {
  listen: string
  root: string
  tlsCert?: string
  tlsKey?: string
  htpasswd?: string
}

/** `host:port`, the host in brackets where it has colons. */
function parseListen(address: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(.*):(\d{1,5})$/.exec(address) ?? []
  if (port === '' || Number(port) > 65_535) throw usageError(`cannot listen at '${address}': an address is host:port`)
  return { host: host.replace(/^\[|\]$/g, '') || '0.0.0.0', port: Number(port) }
}

export function registryCommand(cli: Cli): Command {
  const serve = new Command('serve')
    .description('serve a registry from a directory, until it is interrupted')
    .option('--listen <address>', 'host:port; without TLS and passwords only this machine should reach it', '127.0.0.1:5000')
    .option('--root <directory>', 'what it stores; made when it is missing', 'registry')
    .option('--tls-cert <file>', 'certificate, in PEM; with --tls-key')
    .option('--tls-key <file>', 'its key')
    .option('--htpasswd <file>', 'only its users may read and write (htpasswd -B)')
    .addHelpText('after', '\nExamples:\n  berth registry serve --root /srv/registry\n  berth registry serve --listen 127.0.0.1:0')
    .action(async ({ listen, root, tlsCert, tlsKey, htpasswd }: ServeFlags) => {
      if ((tlsCert === undefined) !== (tlsKey === undefined)) throw usageError('--tls-cert and --tls-key belong together')
      const tls = tlsCert !== undefined && tlsKey !== undefined ? { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) } : undefined
      const { startRegistry } = await import('@berth/registry')
      const ending = new AbortController()
      const end = (): void => ending.abort()
      process.once('SIGINT', end).once('SIGTERM', end)
      await using registry = await startRegistry({ root, ...parseListen(listen), ...(tls && { tls }), ...(htpasswd !== undefined && { htpasswd }) })
      cli.print(`serving ${root} at ${registry.address}`)
      if (!ending.signal.aborted) await once(ending.signal, 'abort')
    })
  return new Command('registry').description('a registry of your own').addCommand(serve)
}
