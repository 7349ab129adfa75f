import { expect, it } from 'vitest'
import { attestedDigest, isAttestation } from './attestation.ts'

it('attestations are known by their annotation, or by a platform that is none', () => {
  const annotations = { 'vnd.docker.reference.type': 'attestation-manifest', 'vnd.docker.reference.digest': 'sha256:x' }
  expect(isAttestation({ annotations, platform: { os: 'unknown', architecture: 'unknown' } })).toBe(true)
  expect(isAttestation({ annotations })).toBe(true)
  expect(isAttestation({ platform: { os: 'unknown', architecture: 'unknown' } })).toBe(true)
  expect(isAttestation({ platform: { os: 'linux', architecture: 'unknown' } })).toBe(false)
  expect(isAttestation({ annotations: { 'vnd.docker.reference.type': 'other' }, platform: { os: 'linux', architecture: 'amd64' } })).toBe(false)
  expect(isAttestation({})).toBe(false)
  expect(attestedDigest({ annotations })).toBe('sha256:x')
  expect(attestedDigest({})).toBeUndefined()
})
