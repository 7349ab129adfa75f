import type { ImageSearchResponseItem } from '@berth/api-types'
import { Command } from 'commander'
import { type Cli, collect } from '../cli.ts'
import { credentialsFor } from '../credentials/credentials.ts'
import { integer } from '../flags/limit-flags.ts'
import { parseFilters } from '../flags/filters.ts'
import { type Column, type ListFlags, printList } from '../output/table.ts'

interface SearchFlags extends ListFlags {
  limit?: number
  filter?: string[]
  trunc?: boolean
}

const maxDescription = 45

export function searchCommand(cli: Cli): Command {
  return new Command('search')
    .description('search a registry for images: Docker Hub, or the one that the term begins with')
    .argument('<term>')
    .option('--limit <number>', 'at most so many', integer)
    .option('-f, --filter <key=value>', 'only those: is-official, is-automated, stars', collect)
    .option('--no-trunc', 'everything in full')
    .option('--format <format>', 'json, or a template: {{.Name}}')
    .addHelpText('after', '\nExamples:\n  berth search --filter stars=100 postgres\n  berth search registry.example/web')
    .action(async (term: string, flags: SearchFlags) => {
      const { images } = await cli.engine()
      const items = await images.search(term, { limit: flags.limit || undefined, filters: parseFilters(flags.filter ?? []), auth: await credentialsFor(cli, term) })
      const cut = (text: string): string => (flags.trunc === false || text.length <= maxDescription ? text : `${text.slice(0, maxDescription - 1)}…`)
      const columns: Column<ImageSearchResponseItem>[] = [
        { heading: 'NAME', field: 'Name', cell: ({ name = '' }) => name },
        { heading: 'DESCRIPTION', field: 'Description', cell: ({ description = '' }) => cut(description.replaceAll(/\s+/g, ' ')) },
        { heading: 'STARS', field: 'StarCount', cell: ({ star_count = 0 }) => String(star_count) },
        { heading: 'OFFICIAL', field: 'IsOfficial', cell: ({ is_official }) => (is_official ? '[OK]' : '') },
      ]
      printList(cli, items, columns, { ...flags, id: ({ name = '' }) => name })
    })
}
