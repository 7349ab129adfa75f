/**
 * The system calls that Node lacks. Everything is synchronous and throws errors as Node's own calls do, with `code` and `syscall`.
 * What moves a thread (roots, namespaces) works in worker threads only.
 *
 * @example
 * const { flags, data } = parseMountOptions(['nosuid', 'size=1m'])
 * mount('tmpfs', '/mnt', 'tmpfs', flags, data)
 */
export { type Cgroups, detectCgroups } from './cgroups.ts'
export { acquireLock } from './directory-lock.ts'
export { withFsUser } from './fs-user.ts'
export { lockFile, mknod, openInRoot, setTimes, spreadSubdirectories, syncFileSystem } from './files.ts'
export { GzipInflater } from './igzip.ts'
export type { Mapping, MountRequest } from './mapped-mounts.ts'
export { makeMountNamespace, mountsOfNamespace, type NewMountNamespace, withMountNamespace } from './mount-namespaces.ts'
export { cloneMount, closeMount, fileSystemMagic, moveMount, restrictMount } from './mount-trees.ts'
export { mount, mountFlags, type MountInfo, parseMountOptions, readMountInfo, umount } from './mounts.ts'
export { type InterfaceCounters, NamespaceRunner } from './namespace-runner.ts'
export { cloneFlags, setns, unshare, withNetns, withRoot } from './namespaces.ts'
export { NetlinkSocket, type NetlinkMessage, netlinkAttribute, parseNetlinkAttributes } from './netlink.ts'
export { deleteNetns } from './netns.ts'
export { Nftables } from './nftables.ts'
export { sealedCopy } from './sealed-copy.ts'
export { type SeccompComparison, SeccompFilter } from './seccomp-filter.ts'
export { boundSocket, hungUp } from './sockets.ts'
export { dropNamespace, type HeldNamespaces, type IdRange, keepNamespace, makeNetworkNamespace, makeUserNamespace } from './user-namespaces.ts'
export { UnixDatagrams } from './unix-datagrams.ts'
export { getXattr, listXattrs, removeXattr, setXattr } from './xattrs.ts'
