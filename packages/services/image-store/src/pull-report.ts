import { shortId } from '@berth/core'
import type { Descriptor } from '@berth/oci'
import type { LayerReport } from './bring-layers.ts'
import type { Progress } from './progress.ts'

/** The messages from which docker's clients draw a pull; a layer is shown by the beginning of its blob's digest. */
export function pullReport(progress: Progress): LayerReport {
  return {
    present: (layer) => progress.status(shownId(layer), 'Already exists'),
    missing(layer, isWaiting) {
      progress.status(shownId(layer), 'Pulling fs layer')
      if (isWaiting) progress.status(shownId(layer), 'Waiting')
    },
    received: (layer, bytes) => progress.bytes(shownId(layer), 'Downloading', bytes, layer.size),
    complete(layer) {
      progress.status(shownId(layer), 'Verifying Checksum')
      progress.status(shownId(layer), 'Download complete')
    },
    unpacked: (layer, bytes) => progress.bytes(shownId(layer), 'Extracting', bytes, layer.size),
    done: (layer) => progress.status(shownId(layer), 'Pull complete'),
  }
}

function shownId({ digest }: Descriptor): string {
  return shortId(digest.slice(digest.indexOf(':') + 1))
}
