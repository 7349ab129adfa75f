export type * from './archive-files.ts'
export type * from './image.ts'
