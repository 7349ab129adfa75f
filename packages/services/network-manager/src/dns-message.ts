import { parseAddress } from './cidr.ts'

/** The record types that are answered from names. @see RFC 1035, section 3.2.2; RFC 3596 */
export const recordTypes = { A: 1, PTR: 12, AAAA: 28, OPT: 41 } as const
export const responseCodes = { noError: 0, formatError: 1, serverFailure: 2, notImplemented: 4, refused: 5 } as const

const [headerSize, udpSize, largestUdpSize, timeToLive, classInternet] = [12, 512, 1232, 600, 1]
const [responseBit, truncatedBit, recursionDesiredBit, recursionAvailableBit] = [0x8000, 0x0200, 0x0100, 0x0080]

export interface DnsQuery {
  id: number
  flags: number
  opcode: number
  /** In lower case, without the last dot; empty for the root. A dot within a label is written `\.`. */
  name: string
  type: number
  class: number
  /** Where the question ends. */
  questionEnd: number
  /** Bytes that the asker takes over UDP: 512, or what it says with EDNS. */
  udpSize: number
  hasEdns: boolean
}

/** What can be made of a message: a query, an error to answer with, or nothing to answer at all. */
export type ParsedQuery = { query: DnsQuery } | { id: number; flags: number; error: number } | undefined

/** A name as its labels, or undefined where it is not one. Pointers have nothing to point to in a question and are refused. */
function readName(message: Uint8Array, start: number): { name: string; end: number } | undefined {
  const labels: string[] = []
  let at = start
  for (;;) {
    const length = message[at++]
    if (length === undefined || length > 63) return undefined
    if (length === 0) return { name: labels.join('.').toLowerCase(), end: at }
    if (at + length > message.length || at + length - start > 254) return undefined
    labels.push(Buffer.from(message.subarray(at, at + length)).toString('latin1').replaceAll('.', String.raw`\.`))
    at += length
  }
}

/** Reads a query, whatever the bytes are. @see RFC 1035, section 4.1; RFC 6891 */
export function parseQuery(message: Buffer): ParsedQuery {
  if (message.length < headerSize) return undefined
  const [id, flags] = [message.readUInt16BE(0), message.readUInt16BE(2)]
  if (flags & responseBit) return undefined // answering answers could go on for ever
  const opcode = (flags >> 11) & 15
  if (opcode !== 0) return { id, flags, error: responseCodes.notImplemented }
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => message.readUInt16BE(at))
  const question = questions === 1 ? readName(message, headerSize) : undefined
  if (!question || question.end + 4 > message.length) return { id, flags, error: responseCodes.formatError }
  const questionEnd = question.end + 4
  // With EDNS the first additional record is of the root and of type OPT, its class the size.
  const hasEdns = answers === 0 && authorities === 0 && (additionals ?? 0) > 0 && questionEnd + 11 <= message.length && message[questionEnd] === 0 && message.readUInt16BE(questionEnd + 1) === recordTypes.OPT
  const size = hasEdns ? Math.min(Math.max(message.readUInt16BE(questionEnd + 3), udpSize), largestUdpSize) : udpSize
  return { query: { id, flags, opcode, name: question.name, type: message.readUInt16BE(question.end), class: message.readUInt16BE(question.end + 2), questionEnd, udpSize: size, hasEdns } }
}

function header(id: number, flags: number, code: number, counts: readonly [number, number, number]): Buffer {
  const bytes = Buffer.alloc(headerSize)
  bytes.writeUInt16BE(id, 0)
  bytes.writeUInt16BE(responseBit | (flags & (recursionDesiredBit | 0x7800)) | recursionAvailableBit | code, 2)
  bytes.writeUInt16BE(counts[0], 4)
  bytes.writeUInt16BE(counts[1], 6)
  bytes.writeUInt16BE(counts[2], 10)
  return bytes
}

/** A refusal of a message whose question cannot be told. */
export function errorResponse(id: number, flags: number, code: number): Buffer {
  return header(id, flags, code, [0, 0, 0])
}

/** An answer to a query with the data of records of the type and name that were asked for. */
export function response(message: Buffer, query: DnsQuery, code: number, data: readonly Buffer[] = []): Buffer {
  const records = data.map((each) => {
    const fixed = Buffer.alloc(12)
    fixed.writeUInt16BE(0xc000 | headerSize, 0) // the name of the question
    fixed.writeUInt16BE(query.type, 2)
    fixed.writeUInt16BE(classInternet, 4)
    fixed.writeUInt32BE(timeToLive, 6)
    fixed.writeUInt16BE(each.length, 10)
    return Buffer.concat([fixed, each])
  })
  const edns = query.hasEdns ? [Buffer.of(0, 0, recordTypes.OPT, largestUdpSize >> 8, largestUdpSize & 255, 0, 0, 0, 0, 0, 0)] : []
  return Buffer.concat([header(query.id, query.flags, code, [1, records.length, edns.length]), message.subarray(headerSize, query.questionEnd), ...records, ...edns])
}

/** The answer as it may go over UDP: one that is too long becomes an empty one that says so, and the asker comes again over TCP. */
export function fitForUdp(answer: Buffer, message: Buffer, query: DnsQuery): Buffer {
  if (answer.length <= query.udpSize) return answer
  const empty = response(message, query, responseCodes.noError)
  empty.writeUInt16BE(empty.readUInt16BE(2) | truncatedBit, 2)
  return empty
}

export function isTruncated(answer: Buffer): boolean {
  return (answer.readUInt16BE(2) & truncatedBit) !== 0
}

/** Whether a message from elsewhere is the answer to the query: an answer, with its ID and its question. */
export function answers(answer: Buffer, message: Buffer, query: DnsQuery): boolean {
  if (answer.length < headerSize || answer.readUInt16BE(0) !== query.id || (answer.readUInt16BE(2) & responseBit) === 0) return false
  if (answer.readUInt16BE(4) === 0) return true // some servers leave the question out when they refuse
  const question = readName(answer, headerSize)
  return question?.name === query.name && question.end + 4 <= answer.length && answer.subarray(question.end, question.end + 4).equals(message.subarray(query.questionEnd - 4, query.questionEnd))
}

/** The data of an A or AAAA record. */
export function addressData(address: string): Buffer {
  const { family, value } = parseAddress(address) ?? { family: 4, value: 0n }
  return Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex')
}

/** The data of a PTR record; undefined for what cannot be a name. */
export function nameData(name: string): Buffer | undefined {
  const labels = name.split('.').map((label) => Buffer.from(label))
  if (labels.some(({ length }) => length === 0 || length > 63)) return undefined
  const data = Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length), label]), Buffer.of(0)])
  return data.length > 255 ? undefined : data
}
