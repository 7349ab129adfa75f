import { closeSync, openSync } from 'node:fs'
import { libcFunction } from './libc.ts'
import { mount, mountFlags } from './mounts.ts'
import { cloneFlags, comeBack, setns, unshare, withNetns } from './namespaces.ts'
import { dropNamespace, keepNamespace } from './user-namespaces.ts'

const sysSocket = libcFunction('int socket(int family, int type, int protocol)')
const sysIoctl = libcFunction('int ioctl(int fd, unsigned long request, void *argument)')

const [AF_INET, SOCK_DGRAM, SOCK_CLOEXEC] = [2, 2, 0x80000]
const SIOCSIFFLAGS = 0x8914
const IFF_UP = 1

/** Brings the loopback interface of the calling thread's namespace up. @see netdevice(7) */
function loopbackUp(): void {
  const request = Buffer.alloc(40)
  request.write('lo')
  request.writeInt16LE(IFF_UP, 16)
  const socket = sysSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  try {
    sysIoctl(socket, SIOCSIFFLAGS, request)
  } finally {
    closeSync(socket)
  }
}

/** Makes a network namespace, with loopback up, that lasts until its file is unmounted. For worker threads. */
export function createNetnsHere(path: string): void {
  const own = openSync('/proc/thread-self/ns/net', 'r')
  try {
    closeSync(openSync(path, 'wx', 0o600))
    unshare(cloneFlags.CLONE_NEWNET)
    try {
      mount('/proc/thread-self/ns/net', path, 'none', mountFlags.MS_BIND)
      loopbackUp()
    } catch (error) {
      deleteNetns(path)
      throw error
    } finally {
      comeBack(() => setns(own, cloneFlags.CLONE_NEWNET))
    }
  } finally {
    closeSync(own)
  }
}

/** Makes a network namespace that exists already last until its file is unmounted, with loopback up. For worker threads. */
export function adoptNetnsHere(path: string, namespace: string): void {
  keepNamespace(namespace, path)
  try {
    withNetns(path, loopbackUp)
  } catch (error) {
    deleteNetns(path)
    throw error
  }
}

/** Ends a network namespace as soon as no process is in it, and removes its file. Idempotent. */
export const deleteNetns = dropNamespace
