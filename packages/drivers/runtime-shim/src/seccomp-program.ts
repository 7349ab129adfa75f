import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { SeccompFilter } from '@berth/linux'

/** @see OCI runtime specification, config-linux.md, Seccomp */
export interface SeccompProfile {
  defaultAction: string
  defaultErrnoRet?: number
  architectures?: string[]
  flags?: string[]
  listenerPath?: string
  syscalls?: { names: string[]; action: string; errnoRet?: number; args?: { index: number; value: number; valueTwo?: number; op: string }[] }[]
}

/** @see linux/seccomp.h, SECCOMP_RET_… */
const actions: Record<string, number> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
}
const withErrno = new Set(['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE'])
/** A program that answers these to a call it does not know would say that a call newer than its profile is forbidden, when it is only unknown. */
const answersUnknown = new Set(['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'])
const operators: Record<string, number> = { SCMP_CMP_NE: 1, SCMP_CMP_LT: 2, SCMP_CMP_LE: 3, SCMP_CMP_EQ: 4, SCMP_CMP_GE: 5, SCMP_CMP_GT: 6, SCMP_CMP_MASKED_EQ: 7 }
/** @see linux/audit.h, AUDIT_ARCH_… */
const auditArchitectures: Record<string, number> = { SCMP_ARCH_X86_64: 0xc000003e, SCMP_ARCH_X32: 0xc000003e, SCMP_ARCH_X86: 0x40000003, SCMP_ARCH_AARCH64: 0xc00000b7, SCMP_ARCH_ARM: 0x40000028 }
const { ENOSYS, EPERM } = constants.errno

/**
 * The program that runc would install for a profile: libseccomp's, and before it an answer of ENOSYS to calls newer than any that the profile names, so that
 * programs fall back to older ones. Undefined for a profile that is not understood in full here.
 * @param file where libseccomp may write meanwhile
 * @see opencontainers/runc, libcontainer/seccomp
 */
export function seccompProgram(profile: SeccompProfile, file: string): Buffer | undefined {
  const { defaultAction, architectures = [], syscalls = [] } = profile
  const fallback = actionOf(defaultAction, profile.defaultErrnoRet)
  if (fallback === undefined || architectures.some((name) => !(name in auditArchitectures))) return undefined
  using filter = new SeccompFilter(fallback)
  for (const name of architectures) filter.addArchitecture(tokenOf(name))
  for (const { names, action, errnoRet, args = [] } of syscalls) {
    const number = actionOf(action, errnoRet)
    if (number === undefined || args.some(({ op }) => !(op in operators))) return undefined
    if (number === fallback) continue
    const comparisons = args.map(({ index, value, valueTwo = 0, op }) => ({ argument: index, operator: operators[op]!, first: BigInt(value), second: BigInt(valueTwo) }))
    // Two conditions on one argument are alternatives, for the sake of old profiles.
    const rules = new Set(args.map(({ index }) => index)).size < args.length ? comparisons.map((one) => [one]) : [comparisons]
    for (const name of names) {
      const call = SeccompFilter.callNumber(name)
      if (call !== undefined) for (const rule of rules) filter.addRule(number, call, rule)
    }
  }
  const fd = openSync(file, 'w', 0o600)
  try {
    filter.writeTo(fd)
    return Buffer.concat([...unknownCalls(profile), readFileSync(file)])
  } finally {
    closeSync(fd)
    rmSync(file)
  }
}

function actionOf(name: string, errno: number | undefined): number | undefined {
  const action = actions[name]
  return action !== undefined && withErrno.has(name) ? action + (errno ?? EPERM) : action
}

const tokenOf = (architecture: string): number => SeccompFilter.architecture(architecture.slice('SCMP_ARCH_'.length).toLowerCase()) ?? 0

/** The largest number of a system call that the profile names, on an architecture. */
function largestCall({ syscalls = [] }: SeccompProfile, architecture: string): number {
  const token = tokenOf(architecture)
  return Math.max(0, ...syscalls.flatMap(({ names }) => names).map((name) => SeccompFilter.callNumber(name, token) ?? 0))
}

/** Classic BPF: operations of `struct sock_filter`. @see linux/bpf_common.h */
const operations = { load: 0x20, equal: 0x15, greater: 0x25, bits: 0x45, answer: 0x06 } as const
/** In a number of a system call: it is one of the x32 interface. */
const x32Bit = 0x40000000

/** For each architecture: calls beyond the largest known one are answered with ENOSYS; whatever else goes on behind the last instruction. */
function unknownCalls(profile: SeccompProfile): Buffer[] {
  const { architectures = [], defaultAction, defaultErrnoRet } = profile
  if (answersUnknown.has(defaultAction) || (defaultAction === 'SCMP_ACT_ERRNO' && defaultErrnoRet === ENOSYS)) return []
  const answer = instruction(operations.answer, 0x00050000 + ENOSYS)
  return [...new Set(architectures.map((name) => auditArchitectures[name]!))].flatMap((audit) => {
    const begin = (length: number) => [instruction(operations.load, 4), instruction(operations.equal, audit, 0, length), instruction(operations.load, 0)]
    const largest = (name: string) => (architectures.includes(name) ? largestCall(profile, name) : 0)
    if (audit !== auditArchitectures['SCMP_ARCH_X86_64']) {
      const [name = ''] = architectures.filter((one) => auditArchitectures[one] === audit)
      const last = largest(name)
      return last ? [...begin(3), instruction(operations.greater, last, 0, 1), answer] : []
    }
    const [last, lastOfX32] = [largest('SCMP_ARCH_X86_64'), largest('SCMP_ARCH_X32')]
    const none = 0xffffffff
    return [
      ...begin(5),
      instruction(operations.bits, x32Bit, 1, 0),
      instruction(operations.greater, last || none, 1, 2),
      instruction(operations.greater, lastOfX32 || none, 0, 1),
      answer,
    ]
  })
}

/** @param whenTrue instructions to skip */
function instruction(operation: number, operand: number, whenTrue = 0, whenFalse = 0): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt16LE(operation, 0)
  bytes.writeUInt8(whenTrue, 2)
  bytes.writeUInt8(whenFalse, 3)
  bytes.writeUInt32LE(operand, 4)
  return bytes
}
