import { enableCompileCache } from 'node:module'
import { runCli } from './run-cli.ts'

enableCompileCache?.()
// A reader that went away (`berth logs web | head -1`) ends the program quietly.
process.stdout.on('error', () => process.exit(0))
process.exit(await runCli(process.argv.slice(2), { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env }))
