import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { type Cli, usageError } from '../cli.ts'
import { humanSize } from '../output/human.ts'
import { printable } from '../output/table.ts'

interface FsckFlags {
  dataRoot: string
  repair?: boolean
  format?: string
}

export function fsckCommand(cli: Cli): Command {
  return new Command('fsck')
    .description('check the images of an engine that does not run: every digest and chain, and what a loss hits')
    .option('--data-root <directory>', "the engine's data root", '/var/lib/berth')
    .option('--repair', 'drop what is damaged, and unpack again what can be')
    .option('--format <format>', 'json')
    .addHelpText('after', '\nEnds with 1 when something is lost or wrong that was not repaired.\n\nExamples:\n  berth image fsck\n  berth image fsck --data-root /srv/berth --repair')
    .action(async ({ dataRoot, repair, format }: FsckFlags) => {
      if (!existsSync(join(dataRoot, 'images', 'images.db'))) throw usageError(`there is no store of images in ${dataRoot}`)
      const [{ fsck }, { acquireLock }, { overlaySnapshotter }] = await Promise.all([import('@berth/image-store'), import('@berth/linux'), import('@berth/snapshotter-overlay')])
      using _lock = acquireLock(join(dataRoot, 'lock'))
      await using snapshotter = overlaySnapshotter({ root: join(dataRoot, 'snapshots') })
      const report = await fsck(join(dataRoot, 'images'), { repair, snapshotter })
      const left = report.problems.filter(({ isRepaired }) => !isRepaired)
      if (left.length > 0) cli.exitCode = 1
      if (format === 'json') return cli.print(JSON.stringify(report))
      for (const { message, names, images, isRepaired } of report.problems) {
        const hit = names.length > 0 ? names : images
        cli.print(printable(`${isRepaired ? 'repaired' : 'found'}: ${message}${hit.length > 0 ? ` (${hit.join(', ')})` : ''}`))
      }
      cli.print(`${report.images} images and ${report.blobs} blobs (${humanSize(report.bytes)}) checked, ${left.length === 0 ? 'nothing is wrong' : `${left.length} problems`}`)
    })
}
