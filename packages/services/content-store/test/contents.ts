/** The same in every process. */
export const small = Buffer.from('a small blob')
export const large = Buffer.alloc(3_000_000, 'content that repeats itself ')
