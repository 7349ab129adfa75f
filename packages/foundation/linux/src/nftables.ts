import { openLibrary } from './libc.ts'

const library = 'libnftables.so.1'

/**
 * Runs nftables commands in this process, as `nft -f` does in one of its own: all of them in one transaction, in the network namespace in which
 * the object was made. Throws what `nft` would write, with the code `NFTABLES`. Everything is synchronous: for worker threads.
 * @see libnftables(3)
 */
export class Nftables implements Disposable {
  readonly #functions: ReturnType<typeof load>
  readonly #context: unknown

  constructor() {
    this.#functions = load()
    this.#context = this.#functions.create(0)
    this.#functions.bufferOutput(this.#context)
    this.#functions.bufferErrors(this.#context)
  }

  /** What the commands write. */
  run(commands: string): string {
    const status = Number(this.#functions.run(this.#context, commands))
    const output = (this.#functions.output(this.#context) as string | null) ?? ''
    const errors = (this.#functions.errors(this.#context) as string | null) ?? ''
    if (status !== 0) throw Object.assign(new Error(errors.trim()), { code: 'NFTABLES' })
    return output
  }

  [Symbol.dispose](): void {
    this.#functions.free(this.#context)
  }
}

function load() {
  const opened = openLibrary(library)
  return {
    create: opened.func('void *nft_ctx_new(uint32_t flags)'),
    free: opened.func('void nft_ctx_free(void *ctx)'),
    bufferOutput: opened.func('int nft_ctx_buffer_output(void *ctx)'),
    bufferErrors: opened.func('int nft_ctx_buffer_error(void *ctx)'),
    output: opened.func('const char *nft_ctx_get_output_buffer(void *ctx)'),
    errors: opened.func('const char *nft_ctx_get_error_buffer(void *ctx)'),
    run: opened.func('int nft_run_cmd_from_buffer(void *ctx, const char *commands)'),
  }
}
