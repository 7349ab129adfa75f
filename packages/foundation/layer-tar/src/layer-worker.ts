import { closeSync, constants, openSync } from 'node:fs'
import { BerthError, serveCalls, workInBackground } from '@berth/core'
import { cloneMount, closeMount, restrictMount, withRoot } from '@berth/linux'
import { applyLayer, type ApplyLayerOptions, type ApplyLayerResult } from './apply-layer.ts'
import { changesOf, type TreeChange } from './changes-of.ts'
import { removeTree, type TreeUsage, usageOf } from './directory-tree.ts'
import { inheritAttributes } from './inherit-attributes.ts'
import { Growth } from './layer-source.ts'
import { packTree, type PackOptions } from './pack-tree.ts'

/** A layer being unpacked, by a number that its caller gave. */
interface Applying {
  growth: Growth
  abort: AbortController
  bytes: number
  /** Called when `bytes` has grown or the work has ended. */
  tell: (() => void) | undefined
  told: number
}

/** Something that is read batch by batch, at its reader's pace. */
interface Reading {
  next: () => Uint8Array | TreeChange[] | undefined
  closed: () => void
}

const applying = new Map<number, Applying>()
const reading = new Map<number, Reading>()
const progressInterval = 50

/** What the thread can be asked for. Jobs that take long give way to each other between two pieces. */
const jobs = {
  /** @param bytes How much of the file may be read now. */
  async apply(id: number, fd: number, bytes: number, isWhole: boolean, options: ApplyLayerOptions): Promise<ApplyLayerResult & { impliedDirectories: string[] }> {
    const state: Applying = { growth: new Growth(), abort: new AbortController(), bytes: 0, tell: undefined, told: 0 }
    applying.set(id, state)
    jobs.grown(id, bytes, isWhole)
    const onProgress = (unpacked: number) => {
      state.bytes = unpacked
      if (!state.tell || performance.now() - state.told < progressInterval) return
      state.told = performance.now()
      state.tell()
    }
    try {
      return await applyLayer({ fd, growth: state.growth }, options, { signal: state.abort.signal, onProgress })
    } finally {
      applying.delete(id)
      state.tell?.()
    }
  },
  grown(id: number, bytes: number, isWhole: boolean): void {
    const growth = applying.get(id)?.growth
    if (isWhole) growth?.end(bytes)
    else growth?.grow(bytes)
  },
  abort(id: number): void {
    const state = applying.get(id)
    const reason = new BerthError('cancelled', 'LAYER_ABORTED', 'the unpacking of a layer was given up')
    state?.abort.abort(reason)
    state?.growth.fail(reason)
  },
  /** Waits for more to be unpacked. @returns uncompressed bytes so far, or undefined when the work has ended */
  async progress(id: number): Promise<number | undefined> {
    const state = applying.get(id)
    if (!state) return undefined
    await new Promise<void>((resolve) => (state.tell = resolve))
    state.tell = undefined
    return applying.has(id) ? state.bytes : undefined
  },
  inherit(root: string, directories: string[], lowers: string[]): void {
    inheritAttributes(root, directories, lowers)
  },
  /** Settles when it is closed or read to its end; the thread is not ended while it waits for its reader. */
  pack(id: number, root: string, options: PackOptions): Promise<void> {
    const tree = packTree(options)
    const inert = openInert(root)
    return open(id, () => withRoot(inert, () => tree.next()).value ?? undefined, () => {
      withRoot(inert, () => tree.return())
      closeSync(inert)
    })
  },
  /** As `pack`. */
  changes(id: number, root: string, lowers: string[]): Promise<void> {
    const changes = changesOf(root, lowers)
    return open(id, () => changes.next().value ?? undefined, () => void changes.return())
  },
  /** The next batch, or undefined at the end. */
  next(id: number): Uint8Array | TreeChange[] | undefined {
    let batch: Uint8Array | TreeChange[] | undefined
    try {
      const open = reading.get(id)
      if (!open) throw new BerthError('internal', 'LAYER_WORKER', 'the thread that read a tree ended before its reader')
      batch = open.next()
      return batch
    } finally {
      if (batch === undefined) jobs.close(id)
    }
  },
  close(id: number): void {
    const open = reading.get(id)
    reading.delete(id)
    open?.closed()
  },
  usage(root: string): TreeUsage {
    return usageOf(root)
  },
  remove(root: string): void {
    removeTree(root)
  },
}

export type LayerJobs = typeof jobs

/**
 * A directory in which no device can be opened, by its descriptor. A container may write in it while it is read: between the look at a file and its opening a device may
 * have taken its place, and opening one can be an act (a watchdog, a tape).
 */
function openInert(directory: string): number {
  const mount = cloneMount(directory)
  try {
    restrictMount(mount, { nodev: true, readonly: true })
    // Node closes what it has opened if the thread is ended. The mount lasts as long.
    return withRoot(mount, () => openSync('/', constants.O_RDONLY | constants.O_DIRECTORY))
  } finally {
    closeMount(mount)
  }
}

function open(id: number, next: Reading['next'], release: () => void): Promise<void> {
  return new Promise((resolve) => {
    reading.set(id, {
      next,
      closed: () => {
        release()
        resolve()
      },
    })
  })
}

workInBackground()
serveCalls(jobs)
