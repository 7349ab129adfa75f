import { closeSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { libcFunction } from './libc.ts'

const sysSocket = libcFunction('int socket(int family, int type, int protocol)')
const sysSetsockopt = libcFunction('int setsockopt(int fd, int level, int option, const void *value, uint32_t length)')
const sysBind = libcFunction('int bind(int fd, const void *address, uint32_t length)')

const [AF_INET, SOCK_STREAM, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [2, 1, 2, 0x800, 0x80000]
const [SOL_SOCKET, SO_REUSEADDR] = [1, 2]

/**
 * A socket bound to an IPv4 address at once, in the network namespace where the calling thread is: `node:net` and `node:dgram` bind
 * later, when the thread may have left. They take it by its `fd`, and close it. @see ip(7)
 */
export function boundSocket(protocol: 'udp' | 'tcp', address: string, port: number): number {
  if (!isIPv4(address)) throw Object.assign(new Error(`EINVAL: not an IPv4 address: ${address}`), { code: 'EINVAL', errno: -22 })
  const name = Buffer.alloc(16)
  name.writeUInt16LE(AF_INET, 0)
  name.writeUInt16BE(port, 2)
  name.set(address.split('.').map(Number), 4)
  const fd = sysSocket(AF_INET, (protocol === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  try {
    sysSetsockopt(fd, SOL_SOCKET, SO_REUSEADDR, Buffer.of(1, 0, 0, 0), 4)
    sysBind(fd, name, name.length)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}
