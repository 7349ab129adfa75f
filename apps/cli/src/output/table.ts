import type { Cli } from '../cli.ts'
import { fillTemplate } from './template.ts'

/** Between columns, as in Docker. */
const gap = '   '

/** Control characters would let a name or a command rewrite the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '�')
}

/** Lines of columns under headings; the last column is not padded. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [headings, ...rows.map((row) => row.map(printable))]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines.map((line) => line.map((cell, column) => (column === line.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join(gap).trimEnd())
}

/** A column: its heading, and its name in templates. */
export interface Column<T> {
  heading: string
  field: string
  cell(item: T): string
}

export interface ListFlags {
  format?: string
  quiet?: boolean
}

/** Prints a list as a table, as JSON lines, by a template, or as IDs alone. Throws `invalid-argument` for a template that is not understood. */
export function printList<T>(cli: Cli, items: readonly T[], columns: readonly Column<T>[], { format, quiet, id, more = [] }: ListFlags & { id(item: T): string; more?: readonly Column<T>[] }): void {
  const fields = (item: T): Record<string, string> => Object.fromEntries([...columns, ...more].map(({ field, cell }) => [field, cell(item)]))
  if (quiet) for (const item of items) cli.print(id(item))
  else if (format === 'json') for (const item of items) cli.print(JSON.stringify(fields(item)))
  else if (format !== undefined && format !== 'table') {
    const template = format.replace(/^table /, '')
    if (template !== format) cli.print(template.replaceAll(/\{\{\s*\.(\w+)\s*\}\}/g, (_, field: string) => [...columns, ...more].find((column) => column.field === field)?.heading ?? field))
    for (const item of items) cli.print(fillTemplate(template, fields(item)))
  } else for (const line of formatTable(columns.map(({ heading }) => heading), items.map((item) => columns.map(({ cell }) => cell(item))))) cli.print(line)
}
