/** @file What the instance and its database thread say to each other. */

export interface ThreadInput {
  readonly directory: string
  readonly password: string
}

/** Sent once by the thread, when its socket listens. */
export interface ThreadReady {
  readonly port: number
}

/** Sent to the thread: stop, with a checkpoint. */
export const STOP = 'stop'
