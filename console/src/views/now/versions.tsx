/** @file The versions that the answering process serves. */

import { Panel } from '../../parts/panel.tsx'
import { type Exposition, total } from './exposition.ts'

const KINDS: Readonly<Record<string, string>> = {
  weaver: 'Weaver',
  lrm: 'Reward model',
  judge: 'Fused judge',
}

export function Versions({ metrics }: { readonly metrics: Exposition }) {
  const engine = metrics.get('circadian:engine_info')?.[0]?.labels
  const refused = new Set(
    (metrics.get('circadian:artifact_refused') ?? [])
      .filter(({ value }) => value === 1)
      .map(({ labels }) => labels['kind']),
  )
  const ready = total(metrics, 'circadian:engine_replicas_ready') ?? 0
  const replicas = total(metrics, 'circadian:engine_replicas') ?? 0
  const isFrozen = total(metrics, 'circadian:frozen') === 1
  return (
    <Panel
      title="Served"
      aside={isFrozen ? <span class="tag danger">learning is frozen</span> : 'by this process'}
    >
      <table>
        <tbody>
          <tr>
            <th scope="row">Model</th>
            <td>
              {engine?.['model_name']} <span class="mono faint">{engine?.['fingerprint']?.slice(0, 12)}</span>
            </td>
          </tr>
          <tr>
            <th scope="row">Engine</th>
            <td>
              {ready} of {replicas} {replicas === 1 ? 'process' : 'processes'} ready on {engine?.['provider']}
            </td>
          </tr>
          {(metrics.get('circadian:artifact_info') ?? []).map(({ labels: { kind = '', version, form } }) => (
            <tr key={kind}>
              <th scope="row">{KINDS[kind] ?? kind}</th>
              <td>
                {version === 'none' ? <span class="faint">none trained yet</span> : version}
                {form !== 'none' && <span class="faint"> {form}</span>}{' '}
                {refused.has(kind) && <span class="tag danger">the active one was refused</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  )
}
