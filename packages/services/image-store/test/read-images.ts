import { resolveImage, validate } from '@berth/oci-image'
import { openImages } from '../src/index.ts'

// Reads all images of the store in the root given, as whoever runs it may.
await using source = await openImages(process.argv[2]!)
const images = await Promise.all((await source.roots()).map(({ descriptor }) => resolveImage(source, descriptor)))
const ids = await Promise.all(images.map((image) => image.id()))
const problems = (await Promise.all(images.map((image) => validate(image)))).flat().length
process.send!({ ids, problems })
process.disconnect()
