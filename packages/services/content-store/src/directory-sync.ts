import { open } from 'node:fs/promises'

interface Turn {
  current: Promise<void>
  next: Promise<void> | undefined
}

/** Makes names in directories survive a loss of power. Callers that come while the disk is busy share the next turn, so many small files cost few of them. */
export class DirectorySync {
  readonly #running = new Map<string, Turn>()

  /** Settles when all that was renamed into the directory before this call is durable. */
  async sync(directory: string): Promise<void> {
    const running = this.#running.get(directory)
    if (running) return (running.next ??= running.current.catch(() => {}).then(() => this.#start(directory)))
    return this.#start(directory)
  }

  #start(directory: string): Promise<void> {
    const turn: Turn = { current: syncPath(directory), next: undefined }
    this.#running.set(directory, turn)
    return turn.current.finally(() => {
      if (!turn.next) this.#running.delete(directory)
    })
  }
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
