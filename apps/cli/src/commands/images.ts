import type { HistoryResponseItem, ImageSummary } from '@berth/api-types'
import { isKind } from '@berth/core'
import { Command } from 'commander'
import { type Cli, collect } from '../cli.ts'
import { parseFilters } from '../flags/filters.ts'
import { splitReference, targetReference } from '../flags/references.ts'
import { humanAge, humanSize, shortId } from '../output/human.ts'
import { type Column, type ListFlags, printList } from '../output/table.ts'

interface ImagesFlags extends ListFlags {
  all?: boolean
  digests?: boolean
  trunc?: boolean
  filter?: string[]
}

interface Row extends ImageSummary {
  repository: string
  tag: string
  digest: string
}

const none = '<none>'

/** A row for each name that an image has, as Docker lists them. */
function rowsOf(image: ImageSummary): Row[] {
  const digests = new Map((image.RepoDigests ?? []).map((name) => name.split('@') as [string, string]))
  const tagged = (image.RepoTags ?? []).filter((name) => name !== `${none}:${none}`).map((name) => splitReference(name))
  if (tagged.length > 0) return tagged.map(({ name, tag = none }) => ({ ...image, repository: name, tag, digest: digests.get(name) ?? none }))
  const [[repository, digest] = [none, none]] = digests
  return [{ ...image, repository, tag: none, digest }]
}

export function imagesCommand(cli: Cli): Command {
  return new Command('images')
    .description('list images')
    .argument('[name]', 'only images of this name')
    .option('-a, --all', 'also those in between')
    .option('-q, --quiet', 'IDs only')
    .option('--digests', 'digests too')
    .option('--no-trunc', 'everything in full')
    .option('-f, --filter <key=value>', 'only those: dangling, label, reference, before, since', collect)
    .option('--format <format>', 'json, or a template: {{.Repository}}:{{.Tag}}')
    .action(async (name: string | undefined, flags: ImagesFlags) => {
      const { images } = await cli.engine()
      const filters = parseFilters([...(flags.filter ?? []), ...(name === undefined ? [] : [`reference=${name}`])])
      const list = await images.list({ all: flags.all, digests: flags.digests, filters })
      const idOf = ({ Id }: { Id: string }): string => (flags.trunc === false ? Id : shortId(Id))
      const digest: Column<Row> = { heading: 'DIGEST', field: 'Digest', cell: (row) => row.digest }
      const columns: Column<Row>[] = [
        { heading: 'REPOSITORY', field: 'Repository', cell: ({ repository }) => repository },
        { heading: 'TAG', field: 'Tag', cell: ({ tag }) => tag },
        ...(flags.digests ? [digest] : []),
        { heading: 'IMAGE ID', field: 'ID', cell: idOf },
        { heading: 'CREATED', field: 'CreatedSince', cell: ({ Created }) => (Created > 0 ? humanAge(Created * 1000, Date.now()) : 'N/A') },
        { heading: 'SIZE', field: 'Size', cell: ({ Size }) => humanSize(Size) },
      ]
      const rows = flags.quiet ? list.map((image): Row => ({ ...image, repository: none, tag: none, digest: none })) : list.flatMap(rowsOf)
      printList(cli, rows, columns, { ...flags, id: idOf, more: flags.digests ? [] : [digest] })
    })
}

export function removeImagesCommand(cli: Cli): Command {
  return new Command('rmi')
    .description('remove images')
    .argument('<images...>')
    .option('-f, --force', 'also what stopped containers use, and all names of an ID')
    .option('--no-prune', 'keep untagged parents')
    .option('--platform <platform>', 'only the images of these platforms', collect)
    .action(async (refs: string[], { force, prune, platform }: { force?: boolean; prune?: boolean; platform?: string[] }) => {
      const { images } = await cli.engine()
      for (const ref of refs) {
        try {
          for (const { Untagged, Deleted } of await images.remove(ref, { force, noPrune: prune === false, platforms: platform })) cli.print(Untagged === undefined ? `Deleted: ${Deleted}` : `Untagged: ${Untagged}`)
        } catch (error) {
          if (force && isKind(error, 'not-found')) cli.io.stderr.write(`${(error as Error).message}\n`)
          else cli.complain(error)
        }
      }
    })
}

export function tagCommand(cli: Cli): Command {
  return new Command('tag')
    .description('give an image another name')
    .argument('<image>')
    .argument('<name[:tag]>')
    .action(async (image: string, target: string) => {
      const { name, tag } = targetReference(target)
      await (await cli.engine()).images.tag(image, { repo: name, ...(tag === undefined ? {} : { tag }) })
    })
}

export function historyCommand(cli: Cli): Command {
  return new Command('history')
    .description('show how an image was made')
    .argument('<image>')
    .option('-q, --quiet', 'IDs only')
    .option('--no-trunc', 'everything in full')
    .option('--platform <platform>', 'the image of this platform')
    .option('--format <format>', 'json, or a template: {{.CreatedBy}}')
    .action(async (image: string, flags: ListFlags & { trunc?: boolean; platform?: string }) => {
      const full = flags.trunc === false
      const items = await (await cli.engine()).images.history(image, { platform: flags.platform })
      const idOf = ({ Id }: HistoryResponseItem): string => (full || Id === '<missing>' ? Id : shortId(Id))
      const columns: Column<HistoryResponseItem>[] = [
        { heading: 'IMAGE', field: 'ID', cell: idOf },
        { heading: 'CREATED', field: 'CreatedSince', cell: ({ Created }) => (Created > 0 ? humanAge(Created * 1000, Date.now()) : 'N/A') },
        { heading: 'CREATED BY', field: 'CreatedBy', cell: ({ CreatedBy }) => (full || CreatedBy.length <= 45 ? CreatedBy : `${CreatedBy.slice(0, 44)}…`) },
        { heading: 'SIZE', field: 'Size', cell: ({ Size }) => humanSize(Size) },
        { heading: 'COMMENT', field: 'Comment', cell: ({ Comment }) => Comment },
      ]
      printList(cli, items, columns, { ...flags, id: idOf })
    })
}
