// Run as a program of its own by the integration tests: creates and starts a task, says so, and waits to be killed.
import { readFileSync } from 'node:fs'
import { shimRuntime } from '../src/index.ts'

const { stateDir, task: options } = JSON.parse(readFileSync(0, 'utf8')) as { stateDir: string; task: Parameters<ReturnType<typeof shimRuntime>['create']>[0] }
const task = await shimRuntime({ stateDir }).create(options)
await task.start()
process.stdout.write(`${task.pid}\n`)
setInterval(() => {}, 1000)
