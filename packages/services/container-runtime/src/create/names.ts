import { randomInt } from 'node:crypto'
import { BerthError } from '@berth/core'

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/

/** A client's name for a container without its slash. Throws `invalid-argument` with Docker's words. */
export function checkName(given: string): string {
  const name = given.startsWith('/') ? given.slice(1) : given
  if (namePattern.test(name)) return name
  throw new BerthError('invalid-argument', 'CONTAINER_NAME_INVALID', `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`)
}

const adjectives = `able amber ample azure balmy bold brave breezy bright brisk calm candid chief civic clean clear coastal cosy crisp daring dapper deep dry eager early
  even fair fleet fond frank free fresh gentle gilded glad golden grand green hardy hearty honest jaunty jolly keen kind lasting level light lively loyal lucid mellow merry
  mild misty modest neat nimble noble open patient placid plain plucky polite prime proud quick quiet ready regal robust rosy royal salty serene sharp shiny silver smooth
  snug sober solid spry stable steady stout sturdy sunny swift tidal tidy true upbeat vivid warm wise witty young zesty`.split(/\s+/)
const nouns = `anchor atoll ballast barge bay beacon berth boatswain bosun bow breeze bridge brig buoy cable canal canoe cape capstan captain cargo catamaran channel chart
  clipper coast compass coral cove coxswain crane crest current cutter deck delta dinghy dock dolphin dory eddy estuary ferry fjord fleet frigate galley gull gunwale halyard
  harbour haven helm heron hull inlet island jetty kayak keel ketch knot lagoon landing lantern lighthouse lugger marina mariner mast mooring oar osprey otter paddle pelican
  pier pilot port prow puffin quay raft reef rigging river rudder sail schooner seal sextant shoal shore skiff skipper sloop spinnaker starboard stern strait tide tiller
  trawler tug voyage wake wave wharf wherry yacht yawl`.split(/\s+/)

/** `adjective_noun` that `isTaken` does not know. */
export function generateName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${adjectives[randomInt(adjectives.length)]}_${nouns[randomInt(nouns.length)]}${attempt < 6 ? '' : randomInt(10 ** Math.min(attempt - 5, 9))}`
    if (!isTaken(name)) return name
  }
}
