import { BerthError } from '@berth/core'
import type { CheckpointBackend } from '../backend.ts'
import { type Call, json, noContent, parseJson, readText, type Route } from '../call.ts'

const refOf = ({ params }: Call): string => params['id'] ?? ''

/** Docker serves these to clients that it told that it is experimental; the API's specification does not have them. */
export function checkpointRoutes(checkpoints: CheckpointBackend): Route[] {
  return [
    { method: 'GET', path: '/containers/{id}/checkpoints', handler: async (call) => json(call, 200, await checkpoints.list(refOf(call), { dir: call.query.text('dir') })) },
    {
      method: 'POST',
      path: '/containers/{id}/checkpoints',
      handler: async (call) => {
        await checkpoints.create(refOf(call), parseOptions(parseJson(await readText(call.request))))
        call.response.writeHead(201).end()
      },
    },
    {
      method: 'DELETE',
      path: '/containers/{id}/checkpoints/{checkpoint}',
      handler: async (call) => {
        await checkpoints.remove(refOf(call), call.params['checkpoint'] ?? '', { dir: call.query.text('dir') })
        noContent(call)
      },
    },
  ]
}

function parseOptions(value: unknown): Parameters<CheckpointBackend['create']>[1] {
  const { CheckpointID: id, CheckpointDir: dir = '', Exit: exit = false } = (value ?? {}) as Record<string, unknown>
  if (typeof id !== 'string' || typeof dir !== 'string' || typeof exit !== 'boolean') {
    throw new BerthError('invalid-argument', 'CHECKPOINT_REQUEST', 'invalid checkpoint: CheckpointID and CheckpointDir are text, Exit is true or false')
  }
  return { id, dir: dir || undefined, exit }
}
