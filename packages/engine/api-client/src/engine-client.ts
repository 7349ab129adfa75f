import { apiVersion as newestVersion } from '@berth/api-types'
import { CheckpointsArea } from './areas/checkpoints.ts'
import { ContainersArea } from './areas/containers.ts'
import { ExecsArea } from './areas/execs.ts'
import { ImagesArea } from './areas/images.ts'
import { NetworksArea } from './areas/networks.ts'
import { SystemArea } from './areas/system.ts'
import { VolumesArea } from './areas/volumes.ts'
import { parseHost } from './address.ts'
import { openAgent, type TlsOptions } from './open-agent.ts'
import { type RequestOptions, Transport } from './transport.ts'

export interface ConnectOptions extends RequestOptions {
  /** `unix:///path`, `tcp://host[:port]` or `ssh://[user@]host[:port]`. */
  host: string
  tls?: TlsOptions | undefined
  /** What is run on the other side of `ssh://`; `docker system dial-stdio` by default. */
  sshCommand?: readonly string[] | undefined
  /** Speak this version of the API (`1.44`) instead of the newest that both sides know. */
  apiVersion?: string
}

/** An engine, by the areas of its API. Disposing ends every request, stream and connection. */
export class EngineClient implements AsyncDisposable {
  /** The version of the API that is spoken: `1.51`. */
  readonly apiVersion: string
  readonly host: string
  readonly system: SystemArea
  readonly containers: ContainersArea
  readonly checkpoints: CheckpointsArea
  readonly execs: ExecsArea
  readonly images: ImagesArea
  readonly networks: NetworksArea
  readonly volumes: VolumesArea
  readonly #transport: Transport

  constructor(transport: Transport, apiVersion: string) {
    this.#transport = transport
    this.apiVersion = apiVersion
    this.host = transport.host
    transport.prefix = `/v${apiVersion}`
    this.system = new SystemArea(transport)
    this.containers = new ContainersArea(transport)
    this.checkpoints = new CheckpointsArea(transport)
    this.execs = new ExecsArea(transport)
    this.images = new ImagesArea(transport)
    this.networks = new NetworksArea(transport)
    this.volumes = new VolumesArea(transport)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport.close()
  }
}

const minorOf = (version: string): number => Number(version.split('.')[1])

/** What servers speak that do not say. */
const oldestVersion = '1.24'

/**
 * Greets the engine and agrees on a version of the API. Throws `unavailable` when nothing answers, `permission-denied` when the socket is not for this user,
 * `invalid-argument` for a host that is none.
 */
export async function connectEngine({ host, tls, sshCommand = ['docker', 'system', 'dial-stdio'], apiVersion, signal }: ConnectOptions): Promise<EngineClient> {
  const address = parseHost(host)
  const transport = new Transport({ host, address, agent: await openAgent(address, { tls, sshCommand }) })
  try {
    return new EngineClient(transport, apiVersion ?? (await agreeOnVersion(transport, signal)))
  } catch (error) {
    transport.close()
    throw error
  }
}

async function agreeOnVersion(transport: Transport, signal: AbortSignal | undefined): Promise<string> {
  const response = await transport.send('GET', '/_ping', { signal })
  response.resume()
  const theirs = response.headers['api-version']
  if (typeof theirs !== 'string' || !/^1\.\d+$/.test(theirs)) return oldestVersion
  return minorOf(theirs) < minorOf(newestVersion) ? theirs : newestVersion
}
