import type { AuthConfig } from '@berth/api-types'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'
import { credentialsFor, eraseCredentials, serverOf, storeCredentials } from '../credentials/credentials.ts'
import { readAnswer, readSecret } from '../terminal/questions.ts'

interface LoginFlags {
  username?: string
  password?: string
  passwordStdin?: boolean
}

/** Longer than any password or token; in bytes. */
const maxSecret = 1 << 20

export function loginCommand(cli: Cli): Command {
  return new Command('login')
    .description('prove who you are to a registry, and keep what proves it for later')
    .argument('[server]', 'registry; Docker Hub when absent')
    .option('-u, --username <name>', 'user name')
    .option('-p, --password <text>', 'password or token; other users of this machine may see it')
    .option('--password-stdin', 'read the password from standard input')
    .addHelpText('after', '\nExamples:\n  berth login registry.example:5000\n  cat token | berth login -u me --password-stdin registry.example')
    .action(async (server: string | undefined, flags: LoginFlags) => {
      const config = await given(cli, server, flags)
      const { system } = await cli.engine()
      const { Status, IdentityToken } = await system.auth(config)
      const { password, ...rest } = config
      const kept = IdentityToken ? { ...rest, identitytoken: IdentityToken } : config
      const file = password === undefined && !IdentityToken ? undefined : await storeCredentials(cli, config.serveraddress, kept)
      if (file !== undefined) cli.io.stderr.write(`WARNING! Your credentials are stored unencrypted in '${file}'.\nConfigure a credential helper to remove this warning.\n\n`)
      cli.print(Status)
    })
}

async function given(cli: Cli, server: string | undefined, { username, password, passwordStdin }: LoginFlags): Promise<AuthConfig & { serveraddress: string }> {
  const { stdin, stderr } = cli.io
  const serveraddress = serverOf(server)
  if (password !== undefined && passwordStdin) throw usageError('--password and --password-stdin are mutually exclusive')
  if (passwordStdin) {
    if (!username) throw usageError('the --password-stdin option requires --username to be set')
    return { username, password: await readPiped(cli), serveraddress }
  }
  if (password !== undefined) stderr.write('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n')
  if (username !== undefined && password !== undefined) return { username, password, serveraddress }
  if (username === undefined && password === undefined) {
    const kept = await credentialsFor(cli, `${server ?? 'docker.io'}/x`)
    if (kept) {
      stderr.write('Authenticating with existing credentials...\n')
      return { ...kept, serveraddress }
    }
  }
  if (!stdin.isTTY) throw usageError('Cannot perform an interactive login from a non TTY device')
  const name = username ?? (await readAnswer(cli.io, 'Username: '))
  if (name === '') throw usageError('Non-null Username Required')
  const secret = password ?? (await readSecret(cli.io, 'Password: '))
  if (secret === '') throw usageError('Password Required')
  return { username: name, password: secret, serveraddress }
}

async function readPiped({ io }: Cli): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of io.stdin) {
    size += chunk.length
    if (size > maxSecret) throw usageError('the password on standard input does not end')
    chunks.push(chunk)
  }
  const password = Buffer.concat(chunks).toString().replace(/\r?\n$/, '')
  if (password === '') throw usageError('password is empty')
  return password
}

export function logoutCommand(cli: Cli): Command {
  return new Command('logout')
    .description('forget what proves who you are to a registry')
    .argument('[server]', 'registry; Docker Hub when absent')
    .action(async (server: string | undefined) => {
      const address = serverOf(server)
      cli.print((await eraseCredentials(cli, address)) ? `Removing login credentials for ${address}` : `Not logged in to ${address}`)
    })
}
