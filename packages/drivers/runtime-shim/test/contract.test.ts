import { spawnSync } from 'node:child_process'
import { contractPrograms, describeOciRuntime } from '@berth/oci-runtime/contract'
import { shimRuntime } from '../src/index.ts'
import { bundleRoot, processSpec } from './busybox-bundle.ts'

describeOciRuntime('shim', async () => {
  const root = await bundleRoot()
  const open = () => shimRuntime({ stateDir: root.stateDir })
  const harness = {
    runtime: open(),
    canCheckpoint: spawnSync('criu', ['check']).status === 0,
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
})
