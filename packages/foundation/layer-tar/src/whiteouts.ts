/**
 * How a layer says that something of a lower layer is gone.
 * @see OCI image spec, layer.md, "Whiteouts"; the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"
 */
export const whiteoutPrefix = '.wh.'
export const opaqueMarker = '.wh..wh..opq'
/** `y` on a directory of an overlayfs layer: nothing of the layers below shows through. */
export const opaqueXattr = 'trusted.overlay.opaque'

/** Whether the last part of a name says that another is gone. */
export function isWhiteout(base: string): boolean {
  return base.startsWith(whiteoutPrefix)
}

const metadataPart = /(?:^|\/)\.wh\.\.wh\./

/** Whether a name is, or lies in, what aufs kept for itself (`.wh..wh.plnk`, `.wh..wh.aufs`), which Docker once packed into layers and ignores since. */
export function isAufsMetadata(name: string): boolean {
  return metadataPart.test(name) && !(name.endsWith(opaqueMarker) && !metadataPart.test(name.slice(0, -opaqueMarker.length)))
}

/** What a directory gives to all that is made in it. */
export const defaultAcl = 'system.posix_acl_default'

/**
 * Whether an extended attribute belongs to a file, and not to the host's security modules or to overlayfs: capabilities, access lists and what users note.
 * containerd takes the same from archives, and labels of security modules besides.
 */
export function isKeptXattr(name: string): boolean {
  if (name.startsWith('user.')) return !name.startsWith('user.overlay.')
  return name === 'security.capability' || name === 'system.posix_acl_access' || name === defaultAcl
}
