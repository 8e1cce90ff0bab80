/** @file Types of the API, for the parts of the page that need no browser. */

export type * from '../../clients/typescript/src/index.ts'
