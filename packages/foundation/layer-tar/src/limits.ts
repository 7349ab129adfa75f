/** What an archive may ask for at most: its author is a stranger. Whoever unpacks sets lower ones (`maxBytes`, `maxEntries`) where they know better. */
export const limits = {
  /** Bytes of a PAX header or of a GNU long name. A path has at most 4096 and an attribute at most 65,536. */
  headerBody: 1024 * 1024,
  /** Pieces of data in one sparse file. */
  sparseSegments: 1_000_000,
  /** Bytes of one sparse file with its holes: they cost nothing here, but much to whoever reads or packs it. */
  sparseSize: 2 ** 40,
  /** Bytes of one layer, uncompressed. */
  layerBytes: 2 ** 40,
  /** Entries of one archive. The largest images have about a million files. */
  entries: 10_000_000,
} as const
