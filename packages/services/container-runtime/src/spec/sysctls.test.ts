import { expect, it } from 'vitest'
import { checkSysctls } from './sysctls.ts'

it('takes settings of namespaces, however they are written', () => {
  const own = { 'net.ipv4.ip_forward': '1', 'net/ipv4/conf/eth0.1/forwarding': '1', 'kernel.shmmax': '1', 'kernel/sem': '1', 'fs.mqueue.msg_max': '1', 'kernel.domainname': 'x' }
  expect(() => checkSysctls({ Sysctls: own, NetworkMode: 'bridge', IpcMode: 'private' })).not.toThrow()
})

it.each([
  ['kernel.panic', {}, 'sysctl "kernel.panic" is not in a separate kernel namespace'],
  ['kernel.shmmax.x', {}, 'is not in a separate kernel namespace'],
  ['kernel.hostname', {}, 'conflicts with the OCI "hostname" field'],
  ['vm/overcommit_memory', {}, 'is not in a separate kernel namespace'],
  ['net', {}, 'is not in a separate kernel namespace'],
  ['net.core.somaxconn', { NetworkMode: 'host' }, 'sysctl "net.core.somaxconn" not allowed in host network namespace'],
  ['net/core/somaxconn', { NetworkMode: 'host' }, 'not allowed in host network namespace'],
  ['kernel.msgmax', { IpcMode: 'host' as const }, 'sysctl "kernel.msgmax" is not allowed in the hosts ipc namespace'],
  ['kernel.domainname', { UTSMode: 'host' }, 'is not allowed in the hosts UTS namespace'],
])('refuses %s where it is the machine’s', (name, host, why) => {
  expect(() => checkSysctls({ ...host, Sysctls: { [name]: '1' } })).toThrow(expect.objectContaining({ kind: 'invalid-argument', message: expect.stringContaining(why) }))
})
