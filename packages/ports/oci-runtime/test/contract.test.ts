import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { type ContractProgram, describeOciRuntime } from '../src/contract.ts'
import { type MemoryProgram, memoryRuntime, MemoryWorld } from '../src/memory.ts'

const line = async (stdin: Readable) => {
  for await (const chunk of stdin) if (String(chunk).includes('\n')) return
}

const programs: Partial<Record<ContractProgram, MemoryProgram>> = {
  exit3: () => 3,
  print: ({ stdout, stderr }) => {
    stdout.write('out\n')
    stderr.write('err\n')
    return 0
  },
  cat: async ({ stdin, stdout }) => {
    for await (const chunk of stdin) stdout.write(chunk)
    return 0
  },
  wait: ({ stdout, onSignal }) =>
    new Promise((resolve) => {
      onSignal((signal) => signal === 15 && resolve(9))
      stdout.write('ready\n')
    }),
  size: async ({ stdin, stdout, size }) => {
    await line(stdin)
    stdout.write(`${size().height} ${size().width}\r\n`)
    return 0
  },
  count: async ({ stdin, stdout, memory }) => {
    for await (const chunk of stdin) {
      for (const _line of String(chunk).split('\n').slice(1)) stdout.write(`${(memory.value = Number(memory.value ?? 0) + 1)}\n`)
    }
    return 0
  },
  late: async ({ stdin, stdout }) => {
    await line(stdin)
    stdout.write('late\n')
    return 5
  },
}

describeOciRuntime('memory', async () => {
  const root = await mkdtemp(join(tmpdir(), 'berth-oci-'))
  const world = new MemoryWorld()
  const args = (program: ContractProgram) => ({ args: [program === 'missing' ? '/no/such/program' : program] })
  let count = 0
  const harness = {
    runtime: memoryRuntime({ programs, world }),
    async bundle(program: ContractProgram) {
      const id = `task-${count++}`
      const bundle = join(root, id)
      await mkdir(bundle)
      await writeFile(join(bundle, 'config.json'), JSON.stringify({ process: args(program) }))
      return { id, bundle, rootfs: [] }
    },
    process: args,
    async restart() {
      await harness.runtime[Symbol.asyncDispose]()
      harness.runtime = memoryRuntime({ programs, world })
    },
    async [Symbol.asyncDispose]() {
      await harness.runtime[Symbol.asyncDispose]()
      await rm(root, { recursive: true })
    },
  }
  return harness
}, { canCheckpoint: true })
