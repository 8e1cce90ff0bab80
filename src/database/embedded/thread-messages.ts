/** @file The messages between the main thread and the database thread. */

export interface ThreadInput {
  readonly directory: string
  readonly password: string
}

/** Sent once by the database thread, when its socket listens. */
export interface ThreadReady {
  readonly port: number
}

/** Sent to the database thread: stop, with a checkpoint. */
export const STOP = 'stop'
