import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecConfig } from '@berth/api-types'
import { kernelAccounts } from '../create/accounts.ts'
import type { Container, Run } from '../container.ts'
import { bundleOf, type Context } from '../context.ts'
import { buildExecProcess, type OciProcess, type OciSpec, resolveUser } from '../spec/index.ts'

/** The process objects of containers that run, as their bundles say: they do not change during a run. */
export class ExecSpecs {
  readonly #ctx: Context
  readonly #bases = new WeakMap<Run, Promise<OciProcess>>()

  constructor(ctx: Context) {
    this.#ctx = ctx
  }

  /** Throws `invalid-argument` for a user whom the container's account files do not know. */
  async processOf(container: Container, run: Run, config: ExecConfig, consoleSize?: { width: number; height: number }): Promise<OciProcess> {
    const { accounts = kernelAccounts } = this.#ctx.options
    const { host } = container.record.definition
    const base = await this.#baseOf(container, run)
    const { uid, gid, additionalGids = [] } = base.user
    // Read whoever it is, as the runtime opens them for each exec: a pipe among them is refused here, and would hold it up (CVE-2024-9676).
    const files = accounts.ofProcess(container.state.pid)
    return buildExecProcess({
      container: base,
      host,
      user: config.User ? resolveUser(config.User, files, host.GroupAdd ?? []) : { uid, gid, additionalGids },
      command: config.Cmd ?? [],
      env: config.Env ?? [],
      workingDir: config.WorkingDir || undefined,
      terminal: config.Tty ?? false,
      consoleSize,
      privileged: config.Privileged ?? false,
      machine: this.#ctx.machine,
    })
  }

  async #baseOf(container: Container, run: Run): Promise<OciProcess> {
    const known = this.#bases.get(run)
    if (known) return known
    const base = readFile(join(bundleOf(this.#ctx, container.id), 'config.json'), 'utf8').then((text) => (JSON.parse(text) as OciSpec).process)
    this.#bases.set(run, base)
    base.catch(() => this.#bases.delete(run))
    return base
  }
}
