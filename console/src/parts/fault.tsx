/** @file A refusal or failure, as the server explained it. */

import { CircadianError } from '../api.ts'

/** Shows nothing for null, and nothing for a server that does not answer: the banner is there for it. */
export function Fault({ fault, onRetry }: { readonly fault: unknown; readonly onRetry?: () => void }) {
  if (fault === null || fault === undefined) return null
  const problem = fault instanceof CircadianError ? fault.problem : null
  const text = problem?.title ?? 'The server did not answer as expected'
  // A single one is already in the detail.
  const errors = problem?.errors ?? []
  const detail = problem?.detail ?? (fault instanceof Error ? fault.message : String(fault))
  return (
    <div class="fault" role="alert">
      <p>
        <strong>{text}.</strong> <span class="detail">{detail}</span>
      </p>
      {errors.length > 1 &&
        errors.map((error) => (
          <p class="detail" key={`${error.pointer} ${error.detail}`}>
            <code>{error.pointer}</code> {error.detail}
          </p>
        ))}
      {onRetry && (
        <button type="button" class="quiet" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  )
}
