import { parentPort } from 'node:worker_threads'
import { BerthError, kindOf, messageOf } from '@berth/core'
import { withRoot } from '@berth/linux'
import { applyLayer, type ApplyLayerOptions } from './apply-layer.ts'
import { removeTree, usageOf } from './directory-tree.ts'
import { packTree, type PackOptions } from './pack-tree.ts'

/** What the thread is asked to do, one at a time. */
export type LayerJob =
  | ({ kind: 'apply' } & ApplyLayerOptions)
  | ({ kind: 'pack'; root: string } & PackOptions)
  | { kind: 'usage'; root: string }
  | { kind: 'remove'; root: string }

export type LayerRequest = { kind: 'job'; job: LayerJob } | { kind: 'pull' } | { kind: 'abort' }

export type LayerAnswer =
  | { kind: 'progress'; bytes: number }
  | { kind: 'chunk'; chunk: Uint8Array }
  | { kind: 'done'; value: unknown }
  | { kind: 'failed'; error: { kind: BerthError['kind']; code: string; message: string } }

const port = parentPort!
let abort = new AbortController()
let packing: { root: string; tree: Generator<Buffer, void, undefined> } | undefined

function answer(message: LayerAnswer): void {
  port.postMessage(message)
}

function fail(error: unknown): void {
  const code = error instanceof BerthError ? error.code : 'LAYER_WORKER'
  answer({ kind: 'failed', error: { kind: kindOf(error), code, message: messageOf(error) } })
}

async function perform(job: LayerJob): Promise<void> {
  switch (job.kind) {
    case 'apply': {
      const { kind: _, ...options } = job
      let told = 0
      const onProgress = (bytes: number) => {
        const now = performance.now()
        if (now - told < 50) return
        told = now
        answer({ kind: 'progress', bytes })
      }
      const result = await applyLayer(options, { signal: abort.signal, onProgress })
      answer({ kind: 'progress', bytes: result.bytes })
      return answer({ kind: 'done', value: result })
    }
    case 'pack':
      packing = { root: job.root, tree: packTree({ whiteouts: job.whiteouts }) }
      return pull()
    case 'usage':
      return answer({ kind: 'done', value: usageOf(job.root) })
    case 'remove':
      return answer({ kind: 'done', value: removeTree(job.root) })
  }
}

/** Packs one batch further. */
function pull(): void {
  if (!packing) return
  const { root, tree } = packing
  const { done, value } = withRoot(root, () => tree.next())
  if (!done) return answer({ kind: 'chunk', chunk: value })
  packing = undefined
  answer({ kind: 'done', value: undefined })
}

function stop(): void {
  abort.abort()
  if (!packing) return
  packing.tree.return()
  packing = undefined
  fail(abort.signal.reason)
}

port.on('message', (request: LayerRequest) => {
  try {
    if (request.kind === 'abort') stop()
    else if (request.kind === 'pull') pull()
    else {
      abort = new AbortController()
      perform(request.job).catch(fail)
    }
  } catch (error) {
    packing = undefined
    fail(error)
  }
})
