/**
 * How a layer says that something of a lower layer is gone.
 * @see OCI image spec, layer.md, "Whiteouts"; the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"
 */
export const whiteoutPrefix = '.wh.'
export const opaqueMarker = '.wh..wh..opq'
/** `y` on a directory of an overlayfs layer: nothing of the layers below shows through. */
export const opaqueXattr = 'trusted.overlay.opaque'

/** Whether an extended attribute belongs to a file, and not to the host's security modules or to overlayfs. */
export function isKeptXattr(name: string): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.'))
}
