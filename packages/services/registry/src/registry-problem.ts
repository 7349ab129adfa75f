/** The codes of the OCI distribution specification, "Error Codes", with distribution's own for what it left out. */
export type ProblemCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'PAGINATION_NUMBER_INVALID'
  | 'RANGE_INVALID'
  | 'SIZE_INVALID'
  | 'TAG_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNKNOWN'
  | 'UNSUPPORTED'

/** Why a request is refused, as its client is told. */
export class RegistryProblem extends Error {
  readonly status: number
  readonly code: ProblemCode
  readonly headers: Record<string, string>

  constructor(status: number, code: ProblemCode, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.name = 'RegistryProblem'
    this.status = status
    this.code = code
    this.headers = headers
  }
}
