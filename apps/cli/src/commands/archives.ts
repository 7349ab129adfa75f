import { open } from 'node:fs/promises'
import { Command } from 'commander'
import { type Cli, collect, usageError } from '../cli.ts'
import { showProgress } from '../output/progress.ts'
import { writeArchive } from '../output/write-archive.ts'

/** Values of a flag that may be given several times, each with commas in between. */
const list = (values: string[] | undefined): string[] | undefined => values?.flatMap((value) => value.split(','))

export function saveCommand(cli: Cli): Command {
  return new Command('save')
    .description('write images to one tar archive')
    .argument('<images...>')
    .option('-o, --output <file>', 'write to a file, not to standard output')
    .option('--platform <platform>', 'only the images of these platforms (several times, or with commas)', collect)
    .addHelpText('after', '\nExamples:\n  berth save -o images.tar app:1 db:2\n  berth save --platform linux/arm64 app:1 | gzip > app.tar.gz')
    .action(async (refs: string[], { output, platform }: { output?: string; platform?: string[] }) => {
      const { images } = await cli.engine()
      await writeArchive(cli, images.save(refs, { platforms: list(platform) }), { file: output, verb: 'save' })
    })
}

export function loadCommand(cli: Cli): Command {
  return new Command('load')
    .description('take images in from a tar archive: one of docker save, or an OCI layout')
    .option('-i, --input <file>', 'read a file, not standard input')
    .option('-q, --quiet', 'only the names in the end')
    .option('--platform <platform>', 'only the images of these platforms (several times, or with commas)', collect)
    .addHelpText('after', '\nExamples:\n  berth load -i images.tar\n  ssh build "berth save app:1" | berth load')
    .action(async ({ input, quiet, platform }: { input?: string; quiet?: boolean; platform?: string[] }) => {
      if (input === undefined && cli.io.stdin.isTTY) throw usageError('requested load from stdin, but stdin is empty')
      const archive = input === undefined ? cli.io.stdin : ((await open(input)).createReadStream({ highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>)
      const { images } = await cli.engine()
      await showProgress(images.load(archive, { quiet: quiet ?? !cli.io.stdout.isTTY, platforms: list(platform) }), cli.io.stdout)
    })
}

export function exportCommand(cli: Cli): Command {
  return new Command('export')
    .description("write a container's file system to a tar archive")
    .argument('<container>')
    .option('-o, --output <file>', 'write to a file, not to standard output')
    .addHelpText('after', '\nExamples:\n  berth export -o web.tar web\n  berth export web | tar -t')
    .action(async (container: string, { output }: { output?: string }) => {
      const { containers } = await cli.engine()
      await writeArchive(cli, containers.export(container), { file: output, verb: 'export' })
    })
}
