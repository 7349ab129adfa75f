import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

const unpacked = join(import.meta.dirname, '../../../../.cache/debian')
const libraries = '/usr/lib/x86_64-linux-gnu'
const program = [join(unpacked, 'usr/sbin/rsyslogd'), '/usr/sbin/rsyslogd'].find((path) => existsSync(path))

/** Why there is no rsyslogd here; undefined when there is one. */
export const missing = program ? undefined : 'Debian’s rsyslog is not there'

export interface Received {
  priority: number
  timestamp: string
  tag: string
  appName: string
  procId: string
  message: string
}

/** A real rsyslogd that listens in a directory and on a port of 127.0.0.1. */
export class Rsyslog implements AsyncDisposable {
  readonly dir: string
  readonly port: number
  readonly #isTls: boolean
  #process: ChildProcess | undefined

  private constructor(dir: string, port: number, isTls: boolean) {
    this.dir = dir
    this.port = port
    this.#isTls = isTls
  }

  static async start(dir: string, { tls = false } = {}): Promise<Rsyslog> {
    const rsyslog = new Rsyslog(dir, await freePort(), tls)
    if (tls) {
      const to = ['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')]
      execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', ...to], { stdio: 'ignore' })
    }
    writeFileSync(join(dir, 'rsyslog.conf'), rsyslog.#configuration())
    await rsyslog.up()
    return rsyslog
  }

  get datagramSocket(): string {
    return join(this.dir, 'datagrams')
  }

  get streamSocket(): string {
    return join(this.dir, 'stream')
  }

  #configuration(): string {
    const { dir, port } = this
    const inputs = this.#isTls
      ? `global(defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="${dir}/cert.pem" defaultNetstreamDriverCertFile="${dir}/cert.pem" defaultNetstreamDriverKeyFile="${dir}/key.pem")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="${port}")`
      : `module(load="imuxsock" sysSock.use="off")
input(type="imuxsock" socket="${this.datagramSocket}" rateLimit.interval="0" usePIDFromSystem="off" useSysTimeStamp="off" ruleset="keep")
module(load="imudp") input(type="imudp" address="127.0.0.1" port="${port}" rateLimit.interval="0")
module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="${port}")
module(load="imptcp") input(type="imptcp" path="${this.streamSocket}" unlink="on")`
    return `global(workDirectory="${dir}" maxMessageSize="64k")
${inputs.replace(' ruleset="keep"', '')}
template(name="kept" type="string" string="%pri%\\t%timereported:::date-rfc3339%\\t%syslogtag%\\t%app-name%\\t%procid%\\t%msg%\\n")
action(type="omfile" file="${dir}/received" template="kept" flushOnTXEnd="on" asyncWriting="off")
`
  }

  async up(): Promise<void> {
    const modules = join(unpacked, libraries, 'rsyslog')
    const args = ['-n', '-f', join(this.dir, 'rsyslog.conf'), '-i', join(this.dir, 'pid'), ...(existsSync(modules) ? ['-M', modules] : [])]
    const child = spawn(program!, args, { stdio: 'ignore', env: { ...process.env, LD_LIBRARY_PATH: join(unpacked, libraries) } })
    this.#process = child
    while (!existsSync(join(this.dir, 'pid')) || !(await listens(this.port))) {
      if (child.exitCode !== null) throw new Error(`rsyslogd ended with ${child.exitCode}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  get received(): Received[] {
    if (!existsSync(join(this.dir, 'received'))) return []
    return readFileSync(join(this.dir, 'received'), 'utf8').split('\n').slice(0, -1).map((line) => {
      const [priority, timestamp = '', tag = '', appName = '', procId = '', ...rest] = line.split('\t')
      return { priority: Number(priority), timestamp, tag, appName, procId, message: rest.join('\t') }
    }) // prettier-ignore
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down()
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Looks into the kernel's table: a connection would be a message of its own. */
async function listens(port: number): Promise<boolean> {
  return readFileSync('/proc/net/tcp', 'utf8').includes(`0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`)
}
