import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

interface Koffi {
  load(path: string | null): { func(prototype: string): CFunction }
  errno(): number
}

type CFunction = ((...args: unknown[]) => unknown) & { async(...args: unknown[]): void }

const require = createRequire(import.meta.url)
let koffi: Koffi | undefined
let library: ReturnType<Koffi['load']> | undefined

/** The C library of this process, found at the first call: who only parses a mount table never loads it. */
function libc(): ReturnType<Koffi['load']> {
  library ??= openLibrary(null)
  return library
}

/** A shared library by its file name. */
export function openLibrary(name: string | null): ReturnType<Koffi['load']> {
  koffi ??= require('koffi') as Koffi
  return koffi.load(name)
}

/** A C function that gives -1 and sets errno when it fails; here it throws then, as Node's own calls do: `code`, `errno`, `syscall`. */
export function libcFunction(prototype: string): (...args: unknown[]) => number {
  let func: ((...args: unknown[]) => unknown) | undefined
  const name = /(\w+)\(/.exec(prototype)?.[1] ?? prototype
  return (...args) => {
    func ??= libc().func(prototype)
    const result = Number(func(...args))
    if (result < 0) throw errnoError(koffi?.errno() ?? 0, name)
    return result
  }
}

/** A C function that takes long and gives -1 when it fails: it runs in a thread of Node's pool. Why it failed is not known then, since errno is that thread's. */
export function slowLibcFunction(prototype: string): (...args: unknown[]) => Promise<number> {
  const name = /(\w+)\(/.exec(prototype)?.[1] ?? prototype
  return async (...args) => {
    const result = await new Promise<unknown>((resolve, reject) => {
      libc().func(prototype).async(...args, (error: Error | null, value: unknown) => (error ? reject(error) : resolve(value)))
    })
    if (Number(result) < 0) throw errnoError(constants.errno.EIO, name)
    return Number(result)
  }
}

/** A failure as Node's own calls report it. */
export function errnoError(errno: number, syscall: string): NodeJS.ErrnoException {
  const [code, description] = getSystemErrorMap().get(-errno) ?? [Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `E${errno}`, 'unknown error']
  return Object.assign(new Error(`${code}: ${description}, ${syscall}`), { code, errno: -errno, syscall })
}

/** A path as the kernel takes it: its bytes, ended by NUL. */
export function cString(text: string | Uint8Array): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  if (bytes.includes(0)) throw Object.assign(new Error('EINVAL: the text holds a NUL character'), { code: 'EINVAL', errno: -22 })
  const ended = Buffer.allocUnsafe(bytes.length + 1)
  ended.set(bytes)
  ended[bytes.length] = 0
  return ended
}
