import { BerthError } from '@berth/core'

/** @see OCI image spec, image-index.md, "platform" */
export interface Platform {
  os: string
  architecture: string
  variant?: string | undefined
  'os.version'?: string | undefined
  'os.features'?: string[] | undefined
}

const architectureNames: Record<string, [architecture: string, variant?: string]> = {
  i386: ['386'],
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
}
const knownArchitectures = new Set(['386', 'amd64', 'arm', 'arm64', 'loong64', 'mips', 'mips64', 'mips64le', 'mipsle', 'ppc64', 'ppc64le', 'riscv64', 's390x', 'wasm'])
const knownSystems = new Set(['aix', 'android', 'darwin', 'dragonfly', 'freebsd', 'illumos', 'ios', 'js', 'linux', 'netbsd', 'openbsd', 'plan9', 'solaris', 'wasip1', 'windows'])
const nodeArchitectures: Record<string, string> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le', mipsel: 'mipsle' }

/**
 * Reads `os/architecture[/variant]`; one part alone is whichever of the first two it is, the host completing the other.
 * @throws `invalid-argument`
 */
export function parsePlatform(value: string): Platform {
  const parts = value.split('/')
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(part))) {
    throw new BerthError('invalid-argument', 'INVALID_PLATFORM', `"${value.slice(0, 128)}" is an invalid platform: must be os/architecture[/variant]`)
  }
  const [first, second, variant] = parts as [string, string?, string?]
  if (second !== undefined) return normalizePlatform({ os: first, architecture: second, variant })
  const host = hostPlatform()
  if (knownSystems.has(systemOf(first))) return normalizePlatform({ ...host, os: first })
  const lone = normalizePlatform({ os: host.os, architecture: first })
  if (knownArchitectures.has(lone.architecture)) return lone
  throw new BerthError('invalid-argument', 'INVALID_PLATFORM', `"${value}": unknown operating system or architecture`)
}

/** `linux/arm/v7`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/')
}

/** One spelling for each platform: lower case, Go's names, no variant where it is the only or the default one. */
export function normalizePlatform(platform: Platform): Platform {
  const [architecture, implied] = architectureNames[platform.architecture.toLowerCase()] ?? [platform.architecture.toLowerCase()]
  const given = (implied ?? platform.variant ?? '').toLowerCase()
  const { variant: _, ...rest } = platform
  const variant = variantOf(architecture, /^\d/.test(given) ? `v${given}` : given)
  return { ...rest, os: systemOf(platform.os), architecture, ...(variant && { variant }) }
}

/** The platform that this process runs on. */
export function hostPlatform(): Platform {
  const { arm_version: level } = process.config.variables as { arm_version?: string | number }
  const variant = process.arch === 'arm' && level !== undefined ? { variant: `v${level}` } : {}
  return normalizePlatform({ os: process.platform, architecture: nodeArchitectures[process.arch] ?? process.arch, ...variant })
}

/**
 * The entry of an index that suits a platform best: the exact one, else (unless `strict`) an older variant or a 32-bit sibling that the hardware runs.
 * Entries without a platform, or of an unknown one such as attestations, are never chosen.
 */
export function selectPlatform<T extends { platform?: Platform | undefined }>(
  entries: readonly T[],
  wanted: Platform = hostPlatform(),
  { strict = false }: { strict?: boolean } = {},
): T | undefined {
  for (const candidate of strict ? [normalizePlatform(wanted)] : runnable(normalizePlatform(wanted))) {
    const found = entries.find((entry) => entry.platform && samePlatform(entry.platform, candidate))
    if (found) return found
  }
  return undefined
}

/** Whether content for `offered` runs on `wanted`, exactly or as an older variant or a 32-bit sibling. */
export function matchesPlatform(offered: Platform, wanted: Platform = hostPlatform()): boolean {
  return runnable(normalizePlatform(wanted)).some((candidate) => samePlatform(offered, candidate))
}

function samePlatform(offered: Platform, wanted: Platform): boolean {
  const { os, architecture, variant } = normalizePlatform(offered)
  return os === wanted.os && architecture === wanted.architecture && (variant ?? '') === (wanted.variant ?? '')
}

/** What a normalised platform runs, best first. */
function runnable(platform: Platform): Platform[] {
  const { os, architecture, variant } = platform
  const olderArm = (newest: number) => Array.from({ length: Math.max(0, newest - 4) }, (_, index) => ({ os, architecture: 'arm', variant: `v${newest - index}` }))
  const level = Number(variant?.slice(1) ?? Number.NaN)
  if (architecture === 'arm') return Number.isInteger(level) && level >= 5 && level <= 9 ? olderArm(level) : [platform]
  if (architecture === 'arm64') return [...arm64Variants(variant ?? '').map((older) => ({ os, architecture, ...(older && { variant: older }) })), ...olderArm(8)]
  if (architecture === 'amd64') {
    const older = Number.isInteger(level) && level <= 9 ? Array.from({ length: level - 1 }, (_, index) => ({ os, architecture, variant: `v${level - index}` })) : []
    return [...older, { os, architecture }, { os, architecture: '386' }]
  }
  return [platform]
}

/**
 * The variants that a 64-bit Arm runs, best first; the empty one is v8. v9.0 came from v8.5, and so on up to v9.4 from v8.9.
 * @see containerd's platforms, `platformVector`
 */
function arm64Variants(variant: string): string[] {
  const [, major, minor = '0'] = /^v([89])(?:\.(\d))?$/.exec(variant || 'v8') ?? []
  if (major === undefined) return [variant, '']
  const downFrom = (newest: number, name: string, zero: string) => Array.from({ length: newest + 1 }, (_, index) => (index === newest ? zero : `${name}.${newest - index}`))
  const level = Number(minor)
  return major === '8' ? downFrom(level, 'v8', '') : [...downFrom(level, 'v9', 'v9'), ...downFrom(Math.min(level + 5, 9), 'v8', '')]
}

function variantOf(architecture: string, variant: string): string {
  if (architecture === 'amd64' && variant === 'v1') return ''
  if (architecture === 'arm64' && (variant === 'v8' || variant === 'v8.0')) return ''
  if (architecture === 'arm64' && variant === 'v9.0') return 'v9'
  if (architecture === 'arm' && variant === '') return 'v7'
  return variant
}

function systemOf(os: string): string {
  return os.toLowerCase() === 'macos' ? 'darwin' : os.toLowerCase()
}
