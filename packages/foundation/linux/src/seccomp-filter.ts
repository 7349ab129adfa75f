import { openLibrary } from './libc.ts'

const library = 'libseccomp.so.2'

/** `SCMP_FLTATR_CTL_OPTIMIZE` */
const optimizeAttribute = 8
const noSuchCall = -1
const alreadyThere = -17

/** A comparison of a system call's argument with numbers. @see seccomp_rule_add(3), struct scmp_arg_cmp */
export interface SeccompComparison {
  /** 0-5 */
  argument: number
  /** `enum scmp_compare`: 1 is not equal, 2 less, 3 less or equal, 4 equal, 5 greater or equal, 6 greater, 7 equal under the mask `first`. */
  operator: number
  first: bigint
  second: bigint
}

let functions: ReturnType<typeof load> | undefined

/**
 * Makes a system-call filter with libseccomp, in this process, as OCI runtimes do in theirs. Actions are numbers as the kernel has them.
 * Throws errors with the code `SECCOMP`, or the loader's where there is no libseccomp. Everything is synchronous and takes some milliseconds for a long profile.
 * @see seccomp_init(3)
 */
export class SeccompFilter implements Disposable {
  readonly #functions = (functions ??= load())
  readonly #context: unknown

  constructor(defaultAction: number) {
    this.#context = this.#functions.init(defaultAction)
    if (!this.#context) throw failure('seccomp_init', defaultAction)
  }

  /** The token of an architecture such as `x86_64`; undefined for one that libseccomp does not know. */
  static architecture(name: string): number | undefined {
    functions ??= load()
    return Number(functions.resolveArchitecture(name)) || undefined
  }

  /** A system call's number on an architecture; undefined where it is not known, negative where the architecture does not have it. */
  static callNumber(name: string, architecture?: number): number | undefined {
    functions ??= load()
    const number = Number(architecture === undefined ? functions.resolve(name) : functions.resolveFor(architecture, name))
    return number === noSuchCall ? undefined : number
  }

  addArchitecture(architecture: number): void {
    const result = Number(this.#functions.addArchitecture(this.#context, architecture))
    if (result !== alreadyThere) check('seccomp_arch_add', result)
  }

  /** Finds calls by a binary tree rather than one by one. */
  optimize(): void {
    check('seccomp_attr_set', Number(this.#functions.setAttribute(this.#context, optimizeAttribute, 2)))
  }

  /** @param call the number as {@link callNumber} gives it without an architecture */
  addRule(action: number, call: number, comparisons: readonly SeccompComparison[] = []): void {
    const bytes = Buffer.alloc(24 * comparisons.length)
    for (const [n, { argument, operator, first, second }] of comparisons.entries()) {
      bytes.writeUInt32LE(argument, n * 24)
      bytes.writeUInt32LE(operator, n * 24 + 4)
      bytes.writeBigUInt64LE(first, n * 24 + 8)
      bytes.writeBigUInt64LE(second, n * 24 + 16)
    }
    check('seccomp_rule_add', Number(this.#functions.addRule(this.#context, action, call, comparisons.length, bytes)))
  }

  /** Writes the filter to a file, as the kernel's instructions (`struct sock_filter`). */
  writeTo(fd: number): void {
    check('seccomp_export_bpf', Number(this.#functions.exportTo(this.#context, fd)))
  }

  [Symbol.dispose](): void {
    this.#functions.release(this.#context)
  }
}

function load() {
  const opened = openLibrary(library)
  return {
    init: opened.func('void *seccomp_init(uint32_t action)'),
    release: opened.func('void seccomp_release(void *context)'),
    resolveArchitecture: opened.func('uint32_t seccomp_arch_resolve_name(const char *name)'),
    addArchitecture: opened.func('int seccomp_arch_add(void *context, uint32_t architecture)'),
    setAttribute: opened.func('int seccomp_attr_set(void *context, int attribute, uint32_t value)'),
    resolve: opened.func('int seccomp_syscall_resolve_name(const char *name)'),
    resolveFor: opened.func('int seccomp_syscall_resolve_name_arch(uint32_t architecture, const char *name)'),
    addRule: opened.func('int seccomp_rule_add_array(void *context, uint32_t action, int call, uint32_t count, const void *comparisons)'),
    exportTo: opened.func('int seccomp_export_bpf(void *context, int fd)'),
  }
}

function check(call: string, result: number): void {
  if (result < 0) throw failure(call, result)
}

function failure(call: string, result: number): NodeJS.ErrnoException {
  return Object.assign(new Error(`${call}: error ${result}`), { code: 'SECCOMP', syscall: call })
}
