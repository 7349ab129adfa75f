/** Where a bundle keeps what is mounted for the user namespace of its container: each file and directory in it is a mount point. */
export const mappedDirectory = 'mapped'
