import { libcFunction } from './libc.ts'
import { comeBack } from './namespaces.ts'

// They give the ID before and do not fail: whoever may not change it keeps it.
const sysSetfsuid = libcFunction('unsigned int setfsuid(unsigned int uid)')
const sysSetfsgid = libcFunction('unsigned int setfsgid(unsigned int gid)')
const sysCapget = libcFunction('int capget(void *header, void *data)')
const sysCapset = libcFunction('int capset(void *header, const void *data)')

/** @see capget(2), _LINUX_CAPABILITY_VERSION_3: version and thread (0, the caller); then twice effective, permitted, inheritable */
function header(): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(0x20080522)
  return bytes
}

/**
 * Runs work whose files belong to another user, with all the capabilities that the calling worker thread has.
 * @see setfsuid(2), which takes the capabilities over files from who leaves root
 */
export function withFsUser({ uid, gid }: { uid: number; gid: number }, work: () => void): void {
  const capabilities = Buffer.alloc(24)
  sysCapget(header(), capabilities)
  try {
    sysSetfsgid(gid)
    sysSetfsuid(uid)
    sysCapset(header(), capabilities)
    work()
  } finally {
    comeBack(() => {
      sysSetfsuid(0)
      sysSetfsgid(0)
      sysCapset(header(), capabilities)
    })
  }
}
