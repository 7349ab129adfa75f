import type { ExecConfig, ExecInspectResponse, IDResponse } from '@berth/api-types'
import { openProcessConnection, type ProcessConnection } from '../process-connection.ts'
import type { RequestOptions, Transport } from '../transport.ts'

/** A terminal's size, in characters. */
export interface TerminalSize {
  width: number
  height: number
}

/** Commands run in running containers. */
export class ExecsArea {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Throws `conflict` when the container does not run. */
  async create(container: string, config: ExecConfig, options: RequestOptions = {}): Promise<IDResponse> {
    return this.#transport.json('POST', `/containers/${encodeURIComponent(container)}/exec`, { json: config, ...options })
  }

  /** Starts it with its streams in hand. */
  async start(id: string, { tty = false, size, signal }: RequestOptions & { tty?: boolean; size?: TerminalSize } = {}): Promise<ProcessConnection> {
    const json = { Detach: false, Tty: tty, ...(size && tty ? { ConsoleSize: [size.height, size.width] } : {}) }
    const { socket, head } = await this.#transport.upgrade(`/exec/${encodeURIComponent(id)}/start`, { json, signal })
    return openProcessConnection(socket, head, { tty, signal })
  }

  async startDetached(id: string, { tty = false, ...options }: RequestOptions & { tty?: boolean } = {}): Promise<void> {
    return this.#transport.json('POST', `/exec/${encodeURIComponent(id)}/start`, { json: { Detach: true, Tty: tty }, ...options })
  }

  async inspect(id: string, options: RequestOptions = {}): Promise<ExecInspectResponse> {
    return this.#transport.json('GET', `/exec/${encodeURIComponent(id)}/json`, options)
  }

  async resize(id: string, { width, height }: TerminalSize, options: RequestOptions = {}): Promise<void> {
    return this.#transport.json('POST', `/exec/${encodeURIComponent(id)}/resize`, { query: { w: width, h: height }, ...options })
  }
}
