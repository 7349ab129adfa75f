import { closeSync, readFileSync, writeSync } from 'node:fs'
import { libcFunction } from './libc.ts'

const memfdCreate = libcFunction('int memfd_create(const char *name, unsigned int flags)')
const fcntl = libcFunction('int fcntl(int fd, int command, int argument)')

/** @see linux/memfd.h, linux/fcntl.h */
const flags = { closeOnExec: 1, allowSealing: 2 } as const
const addSeals = 1033
const allSeals = 0x1 | 0x2 | 0x4 | 0x8

/** A copy of a file in memory that nobody can change any more, nor its seals; a descriptor of it, which children do not inherit unless they are given it. */
export function sealedCopy(path: string, name: string): number {
  const content = readFileSync(path)
  const fd = memfdCreate(name, flags.closeOnExec | flags.allowSealing)
  try {
    for (let written = 0; written < content.length; ) written += writeSync(fd, content, written)
    fcntl(fd, addSeals, allSeals)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}
