import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { contractPrograms, describeOciRuntime } from '@berth/oci-runtime/contract'
import { shimRuntime, type ShimRuntimeOptions } from '../src/index.ts'
import { type BundleRoot, bundleRoot, processSpec } from './busybox-bundle.ts'

const canCheckpoint = spawnSync('criu', ['check']).status === 0

const suite = (name: string, options: (root: BundleRoot) => Partial<ShimRuntimeOptions>) => describeOciRuntime(name, async () => {
  const root = await bundleRoot()
  const settings = options(root)
  const open = () => shimRuntime({ stateDir: root.stateDir, ...settings })
  const harness = {
    runtime: open(),
    bundle: (program: keyof typeof contractPrograms, stdio: Parameters<typeof processSpec>[1]) => root.bundle(contractPrograms[program], { stdio }),
    process: (program: keyof typeof contractPrograms, stdio: Parameters<typeof processSpec>[1]) => processSpec(contractPrograms[program], stdio),
    async restart() {
      await harness.runtime[Symbol.asyncDispose]()
      harness.runtime = open()
    },
    async [Symbol.asyncDispose]() {
      await harness.runtime[Symbol.asyncDispose]()
      await root[Symbol.asyncDispose]()
    },
  }
  return harness
}, { canCheckpoint })

suite('shim', () => ({}))

/** One that is only known to follow the rules of all shims; this machine's happens to be runc's. */
suite('another shim', ({ stateDir }) => {
  mkdirSync(stateDir)
  const shimBinary = join(stateDir, 'containerd-shim-other-v1')
  symlinkSync('/usr/bin/containerd-shim-runc-v2', shimBinary)
  return { shimBinary, namespace: 'berth-test' }
})
