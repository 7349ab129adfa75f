import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'

/**
 * Lets the calling thread's work wait for that of other threads where processors are scarce: a thread that inflates or hashes for seconds is not to keep
 * the event loop from its answers. Called once, at the start of a worker.
 * @see setpriority(2), "C library/kernel differences": on Linux a priority is a thread's own
 */
export function workInBackground(): void {
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), 10)
}
