import { open } from 'node:fs/promises'
import type { EngineClient } from '@berth/api-client'
import { Command } from 'commander'
import { type Cli, type CliOutput, collect, usageError } from '../cli.ts'
import { credentialsFor } from '../credentials/credentials.ts'
import { splitReference, targetReference } from '../flags/references.ts'
import { showProgress } from '../output/progress.ts'

interface PullImageOptions {
  platform?: string | undefined
  output?: CliOutput
  quiet?: boolean | undefined
  /** Of the name, whatever the tag. */
  allTags?: boolean | undefined
}

/** Pulls an image by tag or digest, showing how far it is. */
export async function pullImage(cli: Cli, engine: EngineClient, reference: string, { platform, output = cli.io.stdout, quiet, allTags }: PullImageOptions): Promise<void> {
  const { name, tag, digest } = splitReference(reference)
  const messages = engine.images.pull(name, { allTags, tag: digest ?? tag, platform, auth: await credentialsFor(cli, reference) })
  if (!quiet) return showProgress(messages, output)
  for await (const _ of messages); // errors are thrown from here
}

export function pullCommand(cli: Cli): Command {
  return new Command('pull')
    .description('pull an image from a registry')
    .argument('<image>')
    .option('-a, --all-tags', 'all tags of the name')
    .option('-q, --quiet', 'only the name in the end')
    .option('--platform <platform>', 'os/architecture of the image')
    .action(async (image: string, { allTags, quiet, platform }: { allTags?: boolean; quiet?: boolean; platform?: string }) => {
      const { tag, digest } = splitReference(image)
      const isBare = tag === undefined && digest === undefined
      if (allTags && !isBare) throw usageError("tag can't be used with --all-tags/-a")
      await pullImage(cli, await cli.engine(), image, { allTags, quiet, platform })
      cli.print(isBare && !allTags ? `${image}:latest` : image)
    })
}

export function pushCommand(cli: Cli): Command {
  return new Command('push')
    .description('push an image to a registry')
    .argument('<image>')
    .option('-a, --all-tags', 'all tags of the name')
    .option('-q, --quiet', 'only the name in the end')
    .option('--platform <platform>', 'only the image of this platform')
    .action(async (image: string, { quiet, platform, allTags }: { quiet?: boolean; platform?: string; allTags?: boolean }) => {
      const { name, tag = 'latest' } = splitReference(image)
      const { images } = await cli.engine()
      const messages = images.push(name, { ...(allTags ? {} : { tag }), platform, auth: await credentialsFor(cli, image) })
      if (!quiet) return showProgress(messages, cli.io.stdout)
      for await (const _ of messages); // errors are thrown from here
      cli.print(image)
    })
}

export function importCommand(cli: Cli): Command {
  return new Command('import')
    .description('make an image of a file system in a tar archive')
    .argument('<file>', 'the archive, or - for standard input')
    .argument('[name[:tag]]')
    .option('-c, --change <instruction>', 'Dockerfile instruction for the config', collect)
    .option('-m, --message <text>', 'message of the image')
    .option('--platform <platform>', 'os/architecture of the image')
    .action(async (file: string, reference: string | undefined, { change, message, platform }: { change?: string[]; message?: string; platform?: string }) => {
      const archive = file === '-' ? cli.io.stdin : ((await open(file)).createReadStream() as AsyncIterable<Uint8Array>)
      const { name, tag } = reference === undefined ? {} : targetReference(reference)
      await showProgress((await cli.engine()).images.import(archive, { repo: name, tag, message, changes: change, platform }), cli.io.stdout)
    })
}
