/** @file The request as code, to copy. */

import { useState } from 'preact/hooks'
import { SERVER, type SolveRequest } from '../../api.ts'
import { ScrollText } from '../../parts/scroll-text.tsx'
import { useSession } from '../../session.tsx'
import { asCode, LANGUAGES, type Language } from './as-code.ts'

export function CopyAs({ request }: { readonly request: SolveRequest }) {
  const { apiKey } = useSession()
  const [language, setLanguage] = useState<Language>('curl')
  const [copied, setCopied] = useState<string | null>(null)
  const code = asCode(language, request, SERVER, apiKey !== null)
  // Only pages on HTTPS and localhost may write to the clipboard.
  const clipboard = navigator.clipboard as Clipboard | undefined
  return (
    <div class="copy-as">
      <div class="row">
        <fieldset class="choice">
          <legend class="unseen">Language</legend>
          {LANGUAGES.map((each) => (
            <label key={each}>
              <input
                type="radio"
                name="language"
                checked={each === language}
                onChange={() => setLanguage(each)}
              />
              {each}
            </label>
          ))}
        </fieldset>
        {clipboard !== undefined && (
          <button
            type="button"
            class="quiet"
            onClick={() =>
              clipboard.writeText(code).then(
                () => setCopied(code),
                () => setCopied(null),
              )
            }
          >
            Copy
          </button>
        )}
        <span role="status" class="hint">
          {copied === code ? 'Copied' : ''}
        </span>
      </div>
      <ScrollText class="code" label={`The request as ${language}`}>
        {code}
      </ScrollText>
    </div>
  )
}
