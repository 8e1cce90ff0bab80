/** @file What every role of the engine process is made of. */

import type { Handlers, MessageFromChild, OperationOf, RoleName, Roles, SessionMessage } from '../protocol.ts'

export type StartRole<Name extends RoleName> = (
  options: Roles[Name]['options'],
  provider: 'cpu' | 'cuda',
  send: (message: MessageFromChild) => void,
) => Promise<StartedRole<Name>>

export interface StartedRole<Name extends RoleName> {
  /** Every call is answered by one `result` or one `error`. */
  readonly handlers: Handlers<OperationOf<Name>>
  /** Takes what is not answered. */
  readonly tell?: (message: SessionMessage) => void
  /** States of a latent thought of the model. */
  readonly thoughtLayers?: number
}
