import { closeSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { libcFunction } from './libc.ts'

const sysSocket = libcFunction('int socket(int family, int type, int protocol)')
const sysSetsockopt = libcFunction('int setsockopt(int fd, int level, int option, const void *value, uint32_t length)')
const sysBind = libcFunction('int bind(int fd, const void *address, uint32_t length)')

const sysPoll = libcFunction('int poll(void *descriptors, unsigned long count, int timeout)')

const [AF_INET, SOCK_STREAM, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [2, 1, 2, 0x800, 0x80000]
const [SOL_SOCKET, SO_REUSEADDR] = [1, 2]
const [POLLERR, POLLHUP] = [0x8, 0x10]

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

/**
 * Those of the descriptors whose other side is gone altogether, as opposed to one that only sends no more. Node does not tell of it while it reads
 * nothing. A TCP socket shows it only once the other side answered with a reset. @see poll(2)
 */
export function hungUp(descriptors: readonly number[]): number[] {
  const size = 8
  const entries = Buffer.alloc(descriptors.length * size)
  for (const [index, descriptor] of descriptors.entries()) entries.writeInt32LE(descriptor, index * size)
  if (descriptors.length === 0 || sysPoll(entries, descriptors.length, 0) === 0) return []
  return descriptors.filter((_, index) => (entries.readInt16LE(index * size + 6) & (POLLERR | POLLHUP)) !== 0)
}
