import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { BerthError } from '@berth/core'
import type { NetworkDriver } from '@berth/network-driver'
import type { NetworkDriverHarness, Place } from '@berth/network-driver/contract'
import { bridgeNetworks } from '../src/index.ts'
import type { DriverAnswer } from './driver-process.ts'
import type { ProberJobs } from './prober-worker.ts'

/** A host, and a neighbour on its cable that knows a way to the containers through it, in network and mount namespaces of their own. */
export class Lab implements NetworkDriverHarness {
  readonly addresses = { host: '10.99.0.1', neighbour: '10.99.0.2', host6: 'fd99::1', neighbour6: 'fd99::2' } as const
  readonly #holder: ChildProcess
  readonly #prober: Rpc
  #driver: Rpc
  #sandboxes = 0
  #clean: string
  driver: NetworkDriver

  private constructor(holder: ChildProcess) {
    this.#holder = holder
    this.sh(`
      mount -t tmpfs tmpfs /run
      mkdir /run/netns
      ip link set lo up
      ip netns add neighbour
      ip link add wan type veth peer name eth0 netns neighbour
      ip address add ${this.addresses.host}/24 dev wan
      ip address add ${this.addresses.host6}/64 dev wan nodad
      ip link set wan up
      ip -n neighbour link set lo up
      ip -n neighbour address add ${this.addresses.neighbour}/24 dev eth0
      ip -n neighbour address add ${this.addresses.neighbour6}/64 dev eth0 nodad
      ip -n neighbour link set eth0 up
      ip -n neighbour route add 172.16.0.0/12 via ${this.addresses.host}
      ip -n neighbour route add 127.0.0.0/8 via ${this.addresses.host} table 7
      ip -n neighbour route add fd00::/16 via ${this.addresses.host6}
    `)
    this.#clean = this.state()
    this.#prober = new Rpc(this.#fork('prober-process.ts'))
    this.#driver = new Rpc(this.#fork('driver-process.ts'))
    this.driver = driverOver(this.#driver)
  }

  static async start(): Promise<Lab> {
    const holder = spawn('unshare', ['--net', '--mount', '--propagation', 'private', 'sh', '-c', 'echo; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(holder.stdout, 'data')
    const lab = new Lab(holder)
    await lab.prober('neighbour', 'serve', 'neighbour')
    return lab
  }

  /** Runs a shell script on the host. */
  sh(script: string): string {
    return execFileSync('nsenter', ['--target', String(this.#holder.pid), '--net', '--mount', 'sh', '-ec', script], { encoding: 'utf8' })
  }

  /** Links, rules and what makes a host a router, but for sandboxes. */
  state(): string {
    return this.sh('ip -o -d link | sed "s/^[0-9]*: //; s/ qlen.*//" | grep -v "^sandbox"; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding')
  }

  get pid(): number {
    return this.#holder.pid ?? 0
  }

  get driverPid(): number {
    return this.#driver.process.pid ?? 0
  }

  prober<Job extends keyof ProberJobs>(place: Place, job: Job, ...args: Parameters<ProberJobs[Job]>): Promise<Awaited<ReturnType<ProberJobs[Job]>>> {
    const netns = place === 'host' ? '' : place === 'neighbour' ? '/run/netns/neighbour' : place
    return this.#prober.call({ netns, job, args }) as Promise<Awaited<ReturnType<ProberJobs[Job]>>>
  }

  async makeSandbox(): Promise<string> {
    const name = `sandbox${this.#sandboxes++}`
    this.sh(`ip netns add ${name}; ip -n ${name} link set lo up`)
    await this.prober(`/run/netns/${name}`, 'serve', `/run/netns/${name}`)
    return `/run/netns/${name}`
  }

  async ask(from: Place, { protocol, address, port }: { protocol: string; address: string; port: number }): Promise<string | undefined> {
    return (await this.prober(from, 'ask', protocol, address, port))?.split(' ')[0]
  }

  interfaceOf(sandbox: string, name: string) {
    return this.prober(sandbox, 'interfaceOf', name)
  }

  async occupy({ protocol, hostAddress, hostPort }: { protocol: string; hostAddress: string; hostPort: number }): Promise<void> {
    await this.prober('host', 'occupy', protocol, hostAddress, hostPort)
  }

  async crash(): Promise<void> {
    await kill(this.#driver.process)
    this.#driver = new Rpc(this.#fork('driver-process.ts'))
    this.driver = driverOver(this.#driver)
  }

  /** Ends the driver in order. */
  async shutDown(): Promise<void> {
    const ended = once(this.#driver.process, 'exit')
    await this.driver[Symbol.asyncDispose]()
    await ended
  }

  /** What differs on the host from how it began. */
  leftovers(): string {
    const now = this.state()
    return now === this.#clean ? '' : now
  }

  #fork(file: string): ChildProcess {
    return spawn('nsenter', ['--target', String(this.#holder.pid), '--net', '--mount', process.execPath, '--conditions=@berth/source', `${import.meta.dirname}/${file}`], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const children = [this.#driver.process, this.#prober.process, this.#holder]
    await Promise.all(children.map(kill))
    for (const { pid } of children) if (existsSync(`/proc/${pid}`)) throw new Error(`process ${pid} is left: ${readFileSync(`/proc/${pid}/cmdline`, 'utf8')}`)
  }
}

/** At once; it may have ended. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** Questions to a process over its channel. */
class Rpc {
  readonly process: ChildProcess
  #next = 1
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()

  constructor(child: ChildProcess) {
    this.process = child
    child.on('message', ({ id, value, error }: DriverAnswer | { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value)
      else waiting?.reject(typeof error === 'string' ? new Error(error) : new BerthError(error.kind, error.code, error.message))
    })
    child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the process has ended'))
    })
  }

  call(question: object): Promise<unknown> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.process.send({ id, ...question })
    })
  }
}

function driverOver(rpc: Rpc): NetworkDriver {
  const here = bridgeNetworks() // only for what looks at nothing but its arguments
  return new Proxy(here, {
    get: (target, method) => {
      if (method === Symbol.asyncDispose) return () => rpc.call({ method: 'dispose', args: [] })
      const value: unknown = Reflect.get(target, method)
      return typeof value === 'function' && method !== 'check' ? (...args: unknown[]) => rpc.call({ method, args }) : value
    },
  })
}
