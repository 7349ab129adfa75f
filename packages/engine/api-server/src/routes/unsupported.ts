import { BerthError } from '@berth/core'
import { type Call, json } from '../call.ts'

const clusterAreas = ['swarm', 'nodes', 'services', 'tasks', 'secrets', 'configs']

/** Answers what the API has and this engine does not: a machine that is in no swarm, without plugins, and so on. */
export async function unsupported(call: Call): Promise<void> {
  const [, area = ''] = /^(?:\/v\d+\.\d+)?\/(\w+)/.exec(call.request.url ?? '') ?? []
  if (clusterAreas.includes(area)) {
    throw new BerthError('unavailable', 'NO_SWARM', 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.')
  }
  if (call.request.method === 'GET' && call.request.url?.split('?')[0]?.endsWith('/plugins')) return json(call, 200, [])
  // Where nothing is built there is no cache to prune; `docker system prune` asks for that too.
  if (/\/build\/prune(\?|$)/.test(call.request.url ?? '')) return json(call, 200, { CachesDeleted: [], SpaceReclaimed: 0 })
  throw new BerthError('not-implemented', 'NOT_IMPLEMENTED', `${call.request.method} ${call.request.url?.split('?')[0]} is not supported by Berth yet`)
}
