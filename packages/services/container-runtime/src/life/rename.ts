import { BerthError } from '@berth/core'
import type { Container } from '../container.ts'
import { type Context, emit } from '../context.ts'
import { checkName } from '../create/names.ts'
import { invalid } from '../create/validate-config.ts'

/** Throws `conflict` for a name that is taken. */
export async function renameContainer(ctx: Context, container: Container, given: string): Promise<void> {
  if (given === '') throw invalid('Neither old nor new names may be empty')
  const name = checkName(given)
  await ctx.locks.run(container.id, async () => {
    const oldName = container.name
    if (oldName === name) throw invalid('Renaming a container with the same name as its current name')
    if (container.isRemoving || container.record.phase !== 'ready') throw new BerthError('conflict', 'CONTAINER_REMOVED', 'container is marked for removal and cannot be renamed')
    ctx.containers.rename(container, name)
    try {
      ctx.records.saveName(container.id, name)
      ctx.failPoint('rename.recorded')
      await ctx.deps.networks.rename(container.id, name)
      ctx.failPoint('rename.renamed')
    } catch (error) {
      ctx.containers.rename(container, oldName)
      ctx.records.saveName(container.id, oldName)
      throw error
    }
    emit(ctx, container, 'rename', { oldName: `/${oldName}` })
  })
}
