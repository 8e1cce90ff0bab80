/** @file Formats the report of a consolidation as a Markdown page. */

import type { Metric, Metrics, NightReport, ReportedKind } from '#artifacts'

const MEBIBYTE = 2 ** 20

/**
 * Returns the report as Markdown. No text comes from questions, so only `|`, which would end a table cell,
 * is escaped.
 */
export function consolidationReportPage(report: NightReport): string {
  const { status, consolidationId, trigger, seconds, attempts, trainerPeakBytes, retired, error } = report
  const facts = [
    ['consolidation', `\`${consolidationId}\``],
    ['model', `\`${report.fingerprint}\``],
    ['triggered by', trigger],
    ['from, to', `${report.startedAt}, ${report.endedAt}`],
    ['took', `${seconds} s${attempts > 1 ? `, in ${attempts} attempts` : ''}`],
    ['training process', trainerPeakBytes === null ? 'not needed' : `${mebibytes(trainerPeakBytes)} at most`],
    ['evidence', describeEvidence(report.evidence)],
    ['no longer retrieved', retired === null ? 'not reached' : `${retired} dominated near-duplicates`],
    ...(error === null ? [] : [['error', error]]),
  ]
  return [
    `# Night: ${status}`,
    table(['', ''], facts),
    ...report.artifacts.map(describeKind),
    '## Steps',
    table(
      ['step', 'seconds'],
      report.steps.map((step) => [step.step, String(step.seconds)]),
    ),
    '',
  ].join('\n\n')
}

function describeEvidence(evidence: NightReport['evidence']): string {
  if (evidence === null) return 'not gathered'
  const { sampled, questions, failed, generatedTokens, stopped } = evidence
  const rest = `${failed > 0 ? `, ${failed} failed` : ''}${stopped === null ? '' : `; stopped: ${stopped}`}`
  return `${sampled} of ${questions} questions sampled, ${generatedTokens} tokens${rest}`
}

function describeKind({ kind, version, status, reason, form = null, ...rest }: ReportedKind): string {
  const { episodes, losses, weights = {}, policy = [], metrics, baseline } = rest
  const leftOut = Object.entries(episodes.leftOut).map(([why, count]) => `${count} ${why}`)
  const names = [...new Set([...Object.keys(metrics), ...Object.keys(baseline)])]
  return [
    `## ${version ?? kind}: ${status ?? 'not decided'}`,
    ...(reason === null ? [] : [`${reason}.`]),
    ...(form === null ? [] : [`Form: ${form}.`]),
    `${episodes.learnedFrom} of ${episodes.remembered} episodes${leftOut.length > 0 ? `; left out: ${leftOut.join(', ')}` : ''}.`,
    ...(Object.keys(losses).length === 0
      ? []
      : [
          table(
            ['loss', ''],
            Object.entries(losses).map(([name, loss]) => [name, digits(loss)]),
          ),
        ]),
    ...(Object.keys(weights).length === 0
      ? []
      : [
          table(
            ['feature', 'weight'],
            Object.entries(weights).map(([name, weight]) => [name, digits(weight)]),
          ),
        ]),
    ...(policy.length === 0
      ? []
      : [
          table(
            ['effort', 'P(correct) from', 'then', 'questions', 'drafts right', 'right', 'tokens'],
            policy.map((band) => [
              band.effort,
              String(band.from),
              describeArm(band),
              ...[band.questions, band.draftAccuracy, band.accuracy, band.tokens].map((value) =>
                value === undefined ? '' : digits(value),
              ),
            ]),
          ),
        ]),
    ...(names.length === 0
      ? []
      : [
          table(
            ['held-out', 'candidate', 'before'],
            names.map((name) => [name, show(metrics, name), show(baseline, name)]),
          ),
        ]),
  ].join('\n\n')
}

type Band = NonNullable<ReportedKind['policy']>[number]

function describeArm({ strategy, samples, selector, stopAbove, stopBelow, stopVotes }: Band): string {
  const byConfidence = stopAbove !== undefined || stopBelow !== undefined
  const ends = [
    ...(stopVotes === undefined ? [] : [`${stopVotes} votes`]),
    ...(byConfidence ? [`P(correct) is from ${stopAbove ?? 1} or below ${stopBelow ?? 0}`] : []),
  ]
  return [
    strategy,
    ...(samples === undefined ? [] : [`of ${ends.length > 0 ? 'up to ' : ''}${samples}`]),
    ...(selector === undefined ? [] : [`by ${selector}`]),
    ...(ends.length === 0 ? [] : [`until ${ends.join(' or ')}`]),
  ].join(' ')
}

function show(metrics: Metrics, name: string): string {
  const metric: Metric | undefined = metrics[name]
  if (metric === undefined) return ''
  const { value, low, high, n } = metric
  const interval = low === undefined || high === undefined ? '' : ` (${digits(low)} to ${digits(high)})`
  return `${digits(value)}${interval}, n = ${n}`
}

/** Formats a number with at most four significant digits. */
function digits(value: number): string {
  return String(Number(value.toPrecision(4)))
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)} MiB`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
