import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// Compiled code is kept in the user's own directory: in a shared one, others could leave code there.
enableCompileCache(join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'berth'))
// A reader that went away (`berth logs web | head -1`) ends the program quietly.
process.stdout.on('error', () => process.exit(0))
const { runCli } = await import('./run-cli.ts')
process.exit(await runCli(process.argv.slice(2), { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env }))
