import { type Command, InvalidArgumentError } from 'commander'
import { collect } from '../cli.ts'

/** Flags of `run` and `create`, as commander hands them over. */
export interface CreateFlags {
  interactive?: boolean
  tty?: boolean
  rm?: boolean
  name?: string
  env?: string[]
  envFile?: string[]
  workdir?: string
  user?: string
  entrypoint?: string
  hostname?: string
  label?: string[]
  publish?: string[]
  publishAll?: boolean
  expose?: string[]
  volume?: string[]
  volumesFrom?: string[]
  mount?: string[]
  tmpfs?: string[]
  memory?: string
  memorySwap?: string
  memoryReservation?: string
  cpus?: number
  cpuShares?: number
  cpusetCpus?: string
  pidsLimit?: number
  shmSize?: string
  ulimit?: string[]
  network?: string[]
  networkAlias?: string[]
  ip?: string
  macAddress?: string
  addHost?: string[]
  dns?: string[]
  dnsSearch?: string[]
  dnsOption?: string[]
  readOnly?: boolean
  init?: boolean
  restart?: string
  privileged?: boolean
  capAdd?: string[]
  capDrop?: string[]
  securityOpt?: string[]
  device?: string[]
  groupAdd?: string[]
  pid?: string
  ipc?: string
  sysctl?: string[]
  runtime?: string
  oomScoreAdj?: number
  cgroupParent?: string
  stopSignal?: string
  stopTimeout?: number
  logDriver?: string
  logOpt?: string[]
  healthCmd?: string
  healthInterval?: string
  healthTimeout?: string
  healthStartPeriod?: string
  healthRetries?: number
  /** False with `--no-healthcheck`. */
  healthcheck?: boolean
  platform?: string
  pull?: string
}

export function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.')
  return value
}

export function integer(text: string): number {
  const value = number(text)
  if (!Number.isInteger(value)) throw new InvalidArgumentError('It must be a whole number.')
  return value
}

/** Declares the flags of {@link CreateFlags}. */
export function addCreateFlags(command: Command): Command {
  return command
    .option('-i, --interactive', 'keep standard input open')
    .option('-t, --tty', 'give it a terminal')
    .option('--rm', 'remove it when it ends')
    .option('--name <name>', 'name it')
    .option('-e, --env <name=value>', 'environment variable', collect)
    .option('--env-file <file>', 'file of environment variables', collect)
    .option('-w, --workdir <dir>', 'working directory in the container')
    .option('-u, --user <user>', 'name or ID: user[:group]')
    .option('--entrypoint <program>', "program in place of the image's")
    .option('-h, --hostname <name>', 'host name of the container')
    .option('-l, --label <key=value>', 'label', collect)
    .option('-p, --publish <ports>', 'publish a port: [[address:][host port]:]port[/protocol]', collect)
    .option('-P, --publish-all', 'publish all exposed ports on free ones')
    .option('--expose <port>', 'expose a port', collect)
    .option('-v, --volume <volume>', 'mount: [name or path:]path[:options]', collect)
    .option('--volumes-from <container>', "mount another container's volumes", collect)
    .option('--mount <mount>', 'mount: type=volume,source=data,target=/data,readonly', collect)
    .option('--tmpfs <path>', 'mount in memory: path[:options]', collect)
    .option('-m, --memory <bytes>', 'limit of memory: 64m, 1g')
    .option('--memory-swap <bytes>', 'limit of memory and swap together; -1 for no limit')
    .option('--memory-reservation <bytes>', 'soft limit of memory')
    .option('--cpus <number>', 'limit of CPUs: 0.5', number)
    .option('-c, --cpu-shares <number>', 'weight among other containers', integer)
    .option('--cpuset-cpus <list>', 'CPUs it may use: 0-3, 0,1')
    .option('--pids-limit <number>', 'limit of processes; -1 for no limit', integer)
    .option('--shm-size <bytes>', 'size of /dev/shm')
    .option('--ulimit <name=soft:hard>', 'resource limit', collect)
    .option('--net, --network <network>', 'network', collect)
    .option('--net-alias, --network-alias <name>', 'further name on the network', collect)
    .option('--ip <address>', 'IPv4 address on the network')
    .option('--mac-address <address>', 'MAC address')
    .option('--add-host <name:address>', 'line of /etc/hosts', collect)
    .option('--dns <address>', 'name server', collect)
    .option('--dns-search <domain>', 'search domain', collect)
    .option('--dns-option <option>', 'resolver option', collect)
    .option('--read-only', 'mount the root file system read-only')
    .option('--init', 'run an init as process 1')
    .option('--restart <policy>', 'no, always, unless-stopped, on-failure[:times]')
    .option('--privileged', 'give it every right')
    .option('--cap-add <capability>', 'add a capability', collect)
    .option('--cap-drop <capability>', 'drop a capability', collect)
    .option('--security-opt <option>', 'no-new-privileges, seccomp=…', collect)
    .option('--device <device>', 'host device: path[:path[:rwm]]', collect)
    .option('--group-add <group>', 'further group', collect)
    .option('--pid <namespace>', 'process namespace: host, container:name')
    .option('--ipc <namespace>', 'IPC namespace: host, shareable, container:name')
    .option('--sysctl <key=value>', 'kernel parameter of its namespaces', collect)
    .option('--runtime <name>', 'OCI runtime')
    .option('--oom-score-adj <number>', 'preference of the OOM killer', integer)
    .option('--cgroup-parent <path>', 'parent control group')
    .option('--stop-signal <signal>', 'signal that stops it')
    .option('--stop-timeout <seconds>', 'seconds until it is killed', integer)
    .option('--log-driver <name>', 'log driver')
    .option('--log-opt <key=value>', 'option of the log driver', collect)
    .option('--health-cmd <command>', 'command that checks its health')
    .option('--health-interval <duration>', 'time between checks: 30s')
    .option('--health-timeout <duration>', 'longest time of a check')
    .option('--health-start-period <duration>', 'time to get ready')
    .option('--health-retries <number>', 'failures until it counts as unhealthy', integer)
    .option('--no-healthcheck', "leave out the image's health check")
    .option('--platform <platform>', 'os/architecture of the image')
    .option('--pull <policy>', 'when to pull the image: missing, always, never', 'missing')
}
