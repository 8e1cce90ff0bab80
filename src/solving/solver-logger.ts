/** @file Where solving reports what a request could do without. */

/** The part of a pino logger that solving uses. */
export interface SolverLogger {
  warn(details: object, message: string): void
}
