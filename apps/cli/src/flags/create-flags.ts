import type { Command } from 'commander'
import { collect } from '../cli.ts'
import { addLimitFlags, integer, type LimitFlags } from './limit-flags.ts'

/** Flags of `run` and `create`, as commander hands them over. */
export interface CreateFlags extends LimitFlags {
  interactive?: boolean
  tty?: boolean
  rm?: boolean
  name?: string
  attach?: string[]
  cidfile?: string
  quiet?: boolean
  annotation?: string[]
  env?: string[]
  envFile?: string[]
  workdir?: string
  user?: string
  entrypoint?: string
  hostname?: string
  domainname?: string
  label?: string[]
  labelFile?: string[]
  publish?: string[]
  publishAll?: boolean
  expose?: string[]
  volume?: string[]
  volumeDriver?: string
  volumesFrom?: string[]
  mount?: string[]
  tmpfs?: string[]
  memorySwappiness?: number
  oomKillDisable?: boolean
  blkioWeightDevice?: string[]
  deviceReadBps?: string[]
  deviceReadIops?: string[]
  deviceWriteBps?: string[]
  deviceWriteIops?: string[]
  hugetlb?: string[]
  storageOpt?: string[]
  shmSize?: string
  ulimit?: string[]
  network?: string[]
  networkAlias?: string[]
  ip?: string
  ip6?: string
  linkLocalIp?: string[]
  link?: string[]
  macAddress?: string
  addHost?: string[]
  dns?: string[]
  dnsSearch?: string[]
  dnsOption?: string[]
  readOnly?: boolean
  init?: boolean
  restart?: string
  restartUnhealthy?: boolean
  execOnDisconnect?: string
  privileged?: boolean
  capAdd?: string[]
  capDrop?: string[]
  securityOpt?: string[]
  device?: string[]
  deviceCgroupRule?: string[]
  gpus?: string[]
  groupAdd?: string[]
  pid?: string
  ipc?: string
  uts?: string
  userns?: string
  cgroupns?: string
  isolation?: string
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
  healthStartInterval?: string
  healthRetries?: number
  /** False with `--no-healthcheck`. */
  healthcheck?: boolean
  platform?: string
  pull?: string
}

/** Declares the flags of {@link CreateFlags}. */
export function addCreateFlags(command: Command): Command {
  return addLimitFlags(command)
    .option('-i, --interactive', 'keep standard input open')
    .option('-t, --tty', 'give it a terminal')
    .option('--rm', 'remove it when it ends')
    .option('--name <name>', 'name it')
    .option('-a, --attach <stream>', 'show only these streams: stdin, stdout, stderr', collect)
    .option('--cidfile <file>', 'write its ID to a file that is not there yet')
    .option('-q, --quiet', 'pull without telling of progress')
    .option('--annotation <key=value>', 'annotation for the OCI runtime', collect)
    .option('-e, --env <name=value>', 'environment variable', collect)
    .option('--env-file <file>', 'file of environment variables', collect)
    .option('-w, --workdir <dir>', 'working directory in the container')
    .option('-u, --user <user>', 'name or ID: user[:group]')
    .option('--entrypoint <program>', "program in place of the image's")
    .option('-h, --hostname <name>', 'host name of the container')
    .option('--domainname <name>', 'NIS domain name of the container')
    .option('-l, --label <key=value>', 'label', collect)
    .option('--label-file <file>', 'file of labels', collect)
    .option('-p, --publish <ports>', 'publish a port: [[address:][host port]:]port[/protocol]', collect)
    .option('-P, --publish-all', 'publish all exposed ports on free ones')
    .option('--expose <port>', 'expose a port', collect)
    .option('-v, --volume <volume>', 'mount: [name or path:]path[:options]', collect)
    .option('--volume-driver <name>', 'driver of the volumes')
    .option('--volumes-from <container>', "mount another container's volumes", collect)
    .option('--mount <mount>', 'mount: type=volume,source=data,target=/data,readonly', collect)
    .option('--tmpfs <path>', 'mount in memory: path[:options]', collect)
    .option('--memory-swappiness <number>', 'how readily its memory is swapped: 0 to 100, -1 as the machine does', integer)
    .option('--oom-kill-disable', 'do not kill it when its memory is full')
    .option('--blkio-weight-device <path:weight>', 'weight on a block device', collect)
    .option('--device-read-bps <path:bytes>', 'limit of bytes read from a device in a second', collect)
    .option('--device-read-iops <path:number>', 'limit of reads from a device in a second', collect)
    .option('--device-write-bps <path:bytes>', 'limit of bytes written to a device in a second', collect)
    .option('--device-write-iops <path:number>', 'limit of writes to a device in a second', collect)
    .option('--hugetlb <size=bytes>', 'limit of huge pages of a size: 2MB=64m', collect)
    .option('--storage-opt <key=value>', 'option of the root file system', collect)
    .option('--shm-size <bytes>', 'size of /dev/shm')
    .option('--ulimit <name=soft:hard>', 'resource limit', collect)
    .option('--net, --network <network>', 'network; or name=network,alias=…,ip=…,ip6=…,mac-address=…,driver-opt=key=value', collect)
    .option('--net-alias, --network-alias <name>', 'further name on the network', collect)
    .option('--ip <address>', 'IPv4 address on the network')
    .option('--ip6 <address>', 'IPv6 address on the network')
    .option('--link-local-ip <address>', 'link-local address', collect)
    .option('--link <container:alias>', 'another container by another name, on the default bridge', collect)
    .option('--mac-address <address>', 'MAC address')
    .option('--add-host <name:address>', 'line of /etc/hosts', collect)
    .option('--dns <address>', 'name server', collect)
    .option('--dns-search <domain>', 'search domain', collect)
    .option('--dns-option <option>', 'resolver option', collect)
    .option('--read-only', 'mount the root file system read-only')
    .option('--init', 'run an init as process 1')
    .option('--restart <policy>', 'no, always, unless-stopped, on-failure[:times]')
    .option('--restart-unhealthy', 'restart it when it becomes unhealthy')
    .option('--exec-on-disconnect <policy>', 'what becomes of an exec whose client is gone: keep, kill')
    .option('--privileged', 'give it every right')
    .option('--cap-add <capability>', 'add a capability', collect)
    .option('--cap-drop <capability>', 'drop a capability', collect)
    .option('--security-opt <option>', 'no-new-privileges, seccomp=file or unconfined, systempaths=unconfined', collect)
    .option('--device <device>', 'host device: path[:path[:rwm]], or by the Container Device Interface: vendor/class=name', collect)
    .option('--device-cgroup-rule <rule>', 'devices that it may use: "c 10:200 rwm"', collect)
    .option('--gpus <request>', 'GPUs: all, a number, device=…', collect)
    .option('--group-add <group>', 'further group', collect)
    .option('--pid <namespace>', 'process namespace: host, container:name')
    .option('--ipc <namespace>', 'IPC namespace: host, shareable, container:name')
    .option('--uts <namespace>', 'UTS namespace: host')
    .option('--userns <namespace>', 'user namespace: host, private')
    .option('--cgroupns <namespace>', 'control-group namespace: host, private')
    .option('--isolation <technology>', 'default')
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
    .option('--health-start-interval <duration>', 'time between checks until it is ready')
    .option('--health-retries <number>', 'failures until it counts as unhealthy', integer)
    .option('--no-healthcheck', "leave out the image's health check")
    .option('--platform <platform>', 'os/architecture of the image')
    .option('--pull <policy>', 'when to pull the image: missing, always, never', 'missing')
}
